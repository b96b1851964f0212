import type { Container } from './container.ts'

export const severities = ['info', 'warning', 'critical'] as const
export type Severity = (typeof severities)[number]

/** An event happened once; a condition fires until it is resolved. */
export type FindingKind = 'event' | 'condition'

export type Json =
  | string
  | number
  | boolean
  | null
  | undefined
  | readonly Json[]
  | { readonly [key: string]: Json }

/** One row of a detector's rule table, from which `tidewatch rules`, the docs and the alerts are generated. */
export type Rule = {
  severity: Severity
  kind: FindingKind
  /** MITRE ATT&CK technique (https://attack.mitre.org/matrices/enterprise/containers/); absent for routine operations. */
  technique?: string
  /** What it means, in one sentence. */
  summary: string
  /** What to do about it, in one sentence. */
  remedy: string
  /** Whether the rule is on by default. */
  enabledByDefault?: boolean
  /** Events only: rules, of any detector, whose finding covers the same act if a detection names it. */
  supersededBy?: readonly string[]
}

/** A detector's output; the core turns it into a finding. */
export type Detection = {
  rule: string
  /** Conditions only; an event is always firing. */
  state?: 'firing' | 'resolved'
  /** Event time, epoch milliseconds: when it began. */
  time: number
  /** When it was last seen, if that is later: it was still so when it was found. */
  lastSeen?: number
  container: Container | null
  /**
   * One readable line; may quote hostile text, which the core escapes. For a resolved condition: why it ended. The
   * finding keeps the summary of what was found.
   */
  summary: string
  /**
   * What it is about. Of a condition: what distinguishes it from others of its rule in the container. Of an event: the
   * command line, path or name of what was done, complete and not clipped. Events with equal subject, target user and
   * actor are repeats.
   */
  subject: readonly string[]
  /** Events: the user that the operation ran as. */
  targetUser?: string | undefined
  /** Events: who did it, as far as known, in words that are the same for each of their acts: no pids, no times. */
  actor?: string | undefined
  /** Identifies this event permanently, so that observing it again after a restart is not a second finding. */
  eventKey?: string
  /** An update for an event that was reported already: its evidence is added to the existing finding. */
  isUpdate?: boolean
  /** The update contradicts what the finding said: receivers are notified again if the summary changed. */
  isCorrection?: boolean
  /** Further rules that apply to the same event. */
  also?: readonly string[]
  /**
   * The event key with which a rule in `supersededBy` reports the same act. If that finding has at least this severity,
   * this rule is only added to it; the core waits for it for a moment. If it is not reported, or is allowed, this
   * becomes a finding of its own.
   */
  supersedingEventKey?: string
  evidence: { readonly [key: string]: Json }
}

export type FindingState = 'firing' | 'resolved' | 'suppressed'

/** A finding as it is stored, sent and printed; the field names are public. */
export type Finding = {
  /** A ULID: sorts by the time it was made. */
  id: string
  /** When it happened; RFC 3339 with milliseconds. */
  time: string
  /** When tidewatch published it. */
  detected_at: string
  detector: string
  rule: string
  severity: Severity
  kind: FindingKind
  state: FindingState
  summary: string
  host: string
  container: FindingContainer | null
  evidence: { readonly [key: string]: Json }
  count: number
  first_seen: string
  last_seen: string
  /** When a condition ended, RFC 3339; null while it has not, and for events. */
  resolved_at: string | null
  /** Why it ended, in one line; null while it has not. */
  resolution: string | null
  /** What allows a finding in state `suppressed`, and why; it is not sent. */
  suppressed?: Suppression
  /** 12 hexadecimal digits that identify the act or condition on this host; never changes after publication. */
  fingerprint: string
}

/** What allows a finding: a configuration entry or a label, and the reason given there. */
export type Suppression = { by: string; reason: string }

export type FindingContainer = {
  id: string
  name: string
  image: string
  image_id: string
  compose_project: string
  compose_service: string
}

/** The container fields that findings contain. */
export function findingContainer(container: Container): FindingContainer {
  return {
    id: container.id,
    name: container.name,
    image: container.image,
    image_id: container.imageId,
    compose_project: container.composeProject,
    compose_service: container.composeService,
  }
}

/** Whether a severity is at least as bad as another. */
export function isAtLeast(severity: Severity, minimum: Severity): boolean {
  return severities.indexOf(severity) >= severities.indexOf(minimum)
}
