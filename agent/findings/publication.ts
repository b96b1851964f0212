import type { Container } from '../model/container.ts'
import type { Finding, Suppression } from '../model/finding.ts'

/** A finding on its way to the store and the exporters, and what changed about it. */
export type Publication = {
  /** `suppressed`: was reported and is now allowed. `released`: was allowed and no longer is. */
  change: 'new' | 'updated' | 'resolved' | 'suppressed' | 'released'
  finding: Finding
  /** Identifies an event permanently; null for conditions and for events without a key. */
  eventKey: string | null
}

/** Returns what allows a finding; null if nothing does. */
export type AllowedBy = (finding: Finding, labels: Container['labels']) => Suppression | null

/** What `judge` needs besides the finding; `before` is what was published of it before, if anything. */
export type JudgeContext = { before: Finding | null; container: Container | null; eventKey: string | null }

/** Applies the policy to a finding, and determines what changed. */
export function judge(given: Finding, context: JudgeContext, allowedBy: AllowedBy): Publication {
  const { before, container, eventKey } = context
  const finding = asFiring(given)
  const suppressed = allowedBy(finding, container?.labels ?? {})
  const wasAllowed = before?.state === 'suppressed'
  if (suppressed !== null) {
    const change = before === null ? 'new' : wasAllowed ? 'updated' : 'suppressed'
    return { change, finding: { ...finding, state: 'suppressed', suppressed }, eventKey }
  }
  const change = before === null ? 'new' : wasAllowed ? 'released' : 'updated'
  return { change, finding, eventKey }
}

/** The finding without any suppression. */
function asFiring(finding: Finding): Finding {
  if (isFiring(finding) && finding.suppressed === undefined) return finding
  const { suppressed: _suppressed, ...rest } = finding
  return { ...rest, state: 'firing' }
}

/** Ends a condition. A suppressed condition stays suppressed, because it was never reported. */
export function resolve(known: Finding, summary: string, last_seen: string): Publication {
  if (!isFiring(known))
    return { change: 'updated', finding: { ...known, summary, last_seen }, eventKey: null }
  return { change: 'resolved', finding: { ...known, state: 'resolved', summary, last_seen }, eventKey: null }
}

/** Whether a finding is neither resolved nor suppressed. */
export function isFiring({ state }: Finding): boolean {
  return state === 'firing'
}
