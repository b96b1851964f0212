import { defer, delay, filter, ignoreElements, merge, mergeMap, type Observable, tap } from 'rxjs'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection, Rule } from '../../agent/model/finding.ts'
import { type Attempt, gatherAttempts } from './attempts.ts'
import { configuredAttempt, openedAttempt, requestedAttempt } from './attempt-steps.ts'
import { runtimeExecs } from './runtime-execs.ts'

export const overwriteRules = {
  'overwrite-attempt': {
    severity: 'critical',
    kind: 'event',
    technique: 'T1611',
    summary:
      'A container executed the host’s runtime instead of its own program, or opened the runtime’s file through /proc, as CVE-2019-5736 does.',
    remedy:
      'Start nothing in the container and run no exec in it; preserve it, verify the runtime against its package, and find out where the image comes from.',
  },
} as const satisfies Record<string, Rule>

/** Reports failed attacks too: a runtime that seals itself cannot be overwritten, but the attempt shows intent. */
export function overwriteAttempts(observed: Observed): Observable<Detection> {
  const { on } = observed
  return defer(() => {
    const attempts = gatherAttempts()
    const execs = runtimeExecs()
    const report = (attempt: Attempt | null) => (attempt === null ? [] : attempts.take(attempt))
    const tracked$ = merge(
      on('runtime-file').pipe(tap(execs.file)),
      observed.on('source-status').pipe(tap(execs.status)),
      observed.on('events-lost').pipe(tap(execs.lost)),
    ).pipe(ignoreElements())
    return merge(
      tracked$,
      on('container').pipe(
        filter(({ action }) => action === 'created' || action === 'started' || action === 'seen'),
        mergeMap((seen) => report(configuredAttempt(seen))),
      ),
      on('exec').pipe(
        // A caller that was seen is reported in the same turn, after the exec.
        delay(0),
        mergeMap((seen) =>
          report(requestedAttempt(seen, observed.execs.factsOf(seen.execId)?.caller ?? null)),
        ),
      ),
      on('runtime-file-opened').pipe(mergeMap((seen) => report(openedAttempt(seen)))),
      on('process').pipe(mergeMap((seen) => report(execs.attemptIn(seen)))),
    )
  })
}
