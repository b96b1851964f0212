import type { Detector } from '../model/detector.ts'
import type { Detection } from '../model/finding.ts'

/** A detection, and which detector made it. */
export type Detected = { detector: Detector; detection: Detection }
