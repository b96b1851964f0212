import type { Container } from '../model/container.ts'
import type { Finding, Suppression } from '../model/finding.ts'

/** A finding on its way to the store and the exporters, and what changed about it. */
export type Publication = {
  change: Change
  finding: Finding
  /** Identifies an event permanently; null for conditions and for events without a key. */
  eventKey: string | null
  /** Present for events that detectors report. */
  act?: Act
}

/**
 * `corrected`: an update contradicts what the finding said. `repeated`: an event's count rose. `reopened`: a condition that had ended fires again. `suppressed`: was reported and
 * is now allowed. `released`: was allowed and no longer is.
 */
export type Change =
  | 'new'
  | 'updated'
  | 'corrected'
  | 'repeated'
  | 'resolved'
  | 'reopened'
  | 'suppressed'
  | 'released'

/** An operation and its actor, redacted and bounded. */
export type Act = {
  /** The fingerprint by what is known now: the finding has the one of its first publication. */
  fingerprint: string
  /** The program or path; empty if unknown. */
  program: string
  /** Empty if unknown. */
  actor: string
  /** An update to an event without a finding of its own, which may have been taken for a repeat. */
  isLateUpdate: boolean
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
export function resolve(known: Finding, resolution: string, resolved_at: string): Publication {
  const isReported = isFiring(known)
  const ended = { ...known, last_seen: resolved_at, resolved_at, resolution }
  return {
    change: isReported ? 'resolved' : 'updated',
    finding: isReported ? { ...ended, state: 'resolved' } : ended,
    eventKey: null,
  }
}

/** Whether a finding is neither resolved nor suppressed. */
export function isFiring({ state }: Finding): boolean {
  return state === 'firing'
}
