import { catchError, defer, map, type Observable, throwError } from 'rxjs'
import { errorCode, messageOf } from '../../../lib/errors.ts'
import type { Observation, SourceStatus } from '../../../model/observation.ts'
import { type Attached, type Mode, type ModeName, modeNames, type ModeContext } from './mode.ts'
import { sourceUp } from '../../../model/source-reports.ts'

/** Runs the best mode that passes its self-test, reports why no better one works, and falls back when it breaks. */
export function bestMode(
  wanted: 'auto' | ModeName,
  modes: Readonly<Record<ModeName, Mode>>,
  context: ModeContext,
): Observable<Observation> {
  const candidates = wanted === 'auto' ? modeNames : [wanted]
  return attempt(candidates, [])

  function attempt(
    [name, ...others]: readonly ModeName[],
    failures: readonly string[],
  ): Observable<Observation> {
    if (name === undefined) return throwError(() => new Error(failures.join('; ')))
    return defer(() => modes[name](context)).pipe(
      map((seen) => (seen.kind === 'attached' ? statusOf(name, seen, failures) : seen)),
      catchError((error: unknown) => attempt(others, [...failures, failureOf(name, error)])),
    )
  }

  function statusOf(mode: ModeName, { lacking }: Attached, failures: readonly string[]): SourceStatus {
    const reasons = lacking === '' ? failures : [...failures, `${mode}: ${lacking}`]
    // A mode that was configured explicitly has no failures of better ones, and counts as the best.
    return sourceUp('processes', context.now(), mode, reasons.join('; '))
  }
}

/** What each mode needs in place of root (capabilities(7)). */
const capabilities: Readonly<Partial<Record<ModeName, string>>> = {
  ebpf: 'CAP_BPF and CAP_PERFMON',
  connector: 'CAP_NET_ADMIN',
}

function failureOf(mode: ModeName, error: unknown): string {
  const needed = capabilities[mode]
  const isDenied = ['EPERM', 'EACCES'].includes(errorCode(error)) && needed !== undefined
  return `${mode}: ${isDenied ? `run as root or grant ${needed}: ` : ''}${messageOf(error)}`
}
