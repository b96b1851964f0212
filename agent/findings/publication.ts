import type { Container } from '../model/container.ts'
import type { Finding, Suppression } from '../model/finding.ts'

/** A finding on its way to the store and the exporters, and what is new about it. */
export type Publication = {
  /** `suppressed` was told and is allowed now; `released` was allowed and is not any more. */
  change: 'new' | 'updated' | 'resolved' | 'suppressed' | 'released'
  finding: Finding
  /** Identifies the act of an event for ever; null for conditions and where there is no such thing. */
  act: string | null
}

/** By what a finding is allowed; null where nothing allows it. */
export type AllowedBy = (finding: Finding, labels: Container['labels']) => Suppression | null

/** What is known beside a finding that is judged: what was published of it before, null where nothing was. */
export type Circumstances = { before: Finding | null; container: Container | null; act: string | null }

/** Whether a finding is allowed as it is now, and what is new about that. */
export function judge(given: Finding, of: Circumstances, allowedBy: AllowedBy): Publication {
  const { before, container, act } = of
  const finding = asFiring(given)
  const suppressed = allowedBy(finding, container?.labels ?? {})
  const wasAllowed = before?.state === 'suppressed'
  if (suppressed !== null) {
    const change = before === null ? 'new' : wasAllowed ? 'updated' : 'suppressed'
    return { change, finding: { ...finding, state: 'suppressed', suppressed }, act }
  }
  const change = before === null ? 'new' : wasAllowed ? 'released' : 'updated'
  return { change, finding, act }
}

/** As it would be if nothing allowed it. */
function asFiring(finding: Finding): Finding {
  if (isFiring(finding) && finding.suppressed === undefined) return finding
  const { suppressed: _suppressed, ...rest } = finding
  return { ...rest, state: 'firing' }
}

/** The end of a condition. What was allowed stays so when it ends: nobody was told of it. */
export function resolve(known: Finding, summary: string, last_seen: string): Publication {
  if (!isFiring(known)) return { change: 'updated', finding: { ...known, summary, last_seen }, act: null }
  return { change: 'resolved', finding: { ...known, state: 'resolved', summary, last_seen }, act: null }
}

/** Whether it is neither over nor allowed. */
export function isFiring({ state }: Finding): boolean {
  return state === 'firing'
}
