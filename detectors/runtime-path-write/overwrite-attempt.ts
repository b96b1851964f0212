import { defer, filter, ignoreElements, merge, mergeMap, type Observable, tap } from 'rxjs'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection, Rule } from '../../agent/model/finding.ts'
import { type Attempt, gatherAttempts } from './attempts.ts'
import { configuredAttempt, openedAttempt, requestedAttempt } from './attempt-steps.ts'
import { runtimeExecs } from './runtime-execs.ts'

export const overwriteRules = {
  'overwrite-attempt': {
    severity: 'critical',
    kind: 'event',
    summary:
      'A container reached for the host’s runtime as CVE-2019-5736 does it: it ran the runtime in the place of a program, or opened it through /proc.',
    remedy:
      'Start nothing and run no exec in the container, keep it for inspection, compare the runtime with its package, and find out where the image comes from.',
  },
} as const satisfies Record<string, Rule>

/** The attack also when it fails: runtimes that seal themselves cannot be overwritten, but whoever tries means to. */
export function overwriteAttempts(observed: Observed): Observable<Detection> {
  const { containers$, execs$, processes$, runtimeFiles$, runtimeFileOpens$ } = observed
  return defer(() => {
    const attempts = gatherAttempts()
    const execs = runtimeExecs()
    const told = (attempt: Attempt | null) => (attempt === null ? [] : attempts.take(attempt))
    const noted$ = merge(
      runtimeFiles$.pipe(tap(execs.file)),
      observed.sourceStatuses$.pipe(tap(execs.status)),
      observed.eventsLost$.pipe(tap(execs.lost)),
    ).pipe(ignoreElements())
    return merge(
      noted$,
      containers$.pipe(
        filter(({ action }) => action === 'created' || action === 'started' || action === 'seen'),
        mergeMap((seen) => told(configuredAttempt(seen))),
      ),
      execs$.pipe(mergeMap((seen) => told(requestedAttempt(seen)))),
      runtimeFileOpens$.pipe(mergeMap((seen) => told(openedAttempt(seen)))),
      processes$.pipe(mergeMap((seen) => told(execs.attemptIn(seen)))),
    )
  })
}
