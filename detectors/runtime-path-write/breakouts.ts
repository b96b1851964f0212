import { merge, type Observable } from 'rxjs'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import { maskConditions, maskRules } from './mask-missing.ts'
import { mountedPathRules, mountedRuntimePaths } from './mounted-path.ts'
import { overwriteAttempts, overwriteRules } from './overwrite-attempt.ts'
import { containerHelpers, helperRules } from './usermode-helper.ts'
import { vulnerableComponents, vulnerableRules } from './vulnerable.ts'
import { directoryEscapes, directoryRules } from './working-directory.ts'

/** Container escapes through the runtime: what can be observed before, during and after each of them. */
export const breakoutRules = {
  ...overwriteRules,
  ...directoryRules,
  ...mountedPathRules,
  ...maskRules,
  ...helperRules,
  ...vulnerableRules,
} as const

/** The detections of these rules. */
export function breakouts(observed: Observed): Observable<Detection> {
  return merge(
    overwriteAttempts(observed),
    directoryEscapes(observed),
    mountedRuntimePaths(observed),
    maskConditions(observed),
    containerHelpers(observed),
    vulnerableComponents(observed),
  )
}
