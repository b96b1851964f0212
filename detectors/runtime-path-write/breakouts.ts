import { merge, type Observable } from 'rxjs'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import { maskConditions, maskRules } from './mask-missing.ts'
import { mountedPathRules, mountedRuntimePaths } from './mounted-path.ts'
import { overwriteAttempts, overwriteRules } from './overwrite-attempt.ts'
import { containersHelpers, helperRules } from './usermode-helper.ts'
import { vulnerableComponents, vulnerableRules } from './vulnerable.ts'
import { directoryEscapes, directoryRules } from './working-directory.ts'

/** Ways out of a container by way of the runtime, before, during and after: what each of them lets be seen. */
export const breakoutRules = {
  ...overwriteRules,
  ...directoryRules,
  ...mountedPathRules,
  ...maskRules,
  ...helperRules,
  ...vulnerableRules,
} as const

/** What these rules say of what is observed. */
export function breakouts(observed: Observed): Observable<Detection> {
  return merge(
    overwriteAttempts(observed),
    directoryEscapes(observed),
    mountedRuntimePaths(observed),
    maskConditions(observed),
    containersHelpers(observed),
    vulnerableComponents(observed),
  )
}
