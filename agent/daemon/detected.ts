import type { Detector } from '../model/detector.ts'
import type { Detection } from '../model/finding.ts'

/** A detection and the detector that made it. */
export type Detected = { detector: Detector; detection: Detection }
