import { catchError, defer, map, type Observable, throwError } from 'rxjs'
import { messageOf } from '../../../lib/errors.ts'
import type { Observation, SourceStatus } from '../../../model/observation.ts'
import { type Attached, type Mode, type ModeName, modeNames, type Surroundings } from './mode.ts'

/** Takes the best mode that proves itself, says why it is not a better one, and takes the next when it breaks. */
export function bestMode(
  wanted: 'auto' | ModeName,
  modes: Readonly<Record<ModeName, Mode>>,
  surroundings: Surroundings,
): Observable<Observation> {
  const candidates = wanted === 'auto' ? modeNames : [wanted]
  return attempt(candidates, [])

  function attempt(
    [name, ...others]: readonly ModeName[],
    failures: readonly string[],
  ): Observable<Observation> {
    if (name === undefined) return throwError(() => new Error(failures.join('; ')))
    return defer(() => modes[name](surroundings)).pipe(
      map((seen) => (seen.kind === 'attached' ? statusOf(name, seen, failures) : seen)),
      catchError((error: unknown) => attempt(others, [...failures, `${name}: ${messageOf(error)}`])),
    )
  }

  function statusOf(mode: ModeName, { lacking }: Attached, failures: readonly string[]): SourceStatus {
    const reasons = lacking === '' ? failures : [...failures, `${mode}: ${lacking}`]
    return {
      kind: 'source-status',
      time: surroundings.now(),
      source: 'processes',
      up: true,
      mode,
      // Whoever asked for a lesser mode has it at its best.
      best: reasons.length === 0,
      reason: reasons.join('; '),
    }
  }
}
