import { merge, type Observable } from 'rxjs'
import { z } from 'zod'
import { defineDetector, type Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import { binaryDetections } from './binaries.ts'
import { breakoutFileDetections } from './breakout-files.ts'
import { breakoutRules, breakouts } from './breakouts.ts'
import { configurationDetections } from './configuration.ts'
import { runtimeEvidence } from './evidence.ts'
import { binaryRules, breakoutFileRules } from './rules.ts'
import { unwatchedConfiguration } from './unwatched-configuration.ts'

/**
 * Reports changes to the programs that start containers: a changed one runs as root on the host at the next container
 * start (CVE-2019-5736 and its successors).
 */
export const runtimePathWrite = defineDetector({
  name: 'runtime-path-write',
  rules: { ...binaryRules, ...breakoutFileRules, ...breakoutRules },
  evidence: runtimeEvidence,
  settings: z.strictObject({}),
  detect: (observed: Observed): Observable<Detection> =>
    merge(
      binaryDetections(observed),
      configurationDetections(observed),
      unwatchedConfiguration(observed),
      breakoutFileDetections(observed),
      breakouts(observed),
    ),
})
