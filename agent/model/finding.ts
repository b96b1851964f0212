import { hash } from 'node:crypto'
import type { Container } from './container.ts'

export const severities = ['info', 'warning', 'critical'] as const
export type Severity = (typeof severities)[number]

/** An event happened once; a condition is firing until it is resolved. */
export type FindingKind = 'event' | 'condition'

export type Json =
  | string
  | number
  | boolean
  | null
  | undefined
  | readonly Json[]
  | { readonly [key: string]: Json }

/** One row of a detector's rule table: what `tidewatch rules`, the docs and the alerts are made from. */
export type Rule = {
  severity: Severity
  kind: FindingKind
  /** What it means, in one sentence. */
  summary: string
  /** What to do about it, in one sentence. */
  remedy: string
  /** Whether the rule is on when nothing is configured. */
  enabledByDefault?: boolean
}

/** What a detector says; the core makes a finding of it. */
export type Detection = {
  rule: string
  /** Conditions only; an event is always firing. */
  state?: 'firing' | 'resolved'
  /** Event time, epoch milliseconds. */
  time: number
  container: Container | null
  /** One line for people; may quote hostile text, the core escapes it. */
  summary: string
  /** What, beside host, rule and container, makes two findings the same thing happening again. */
  subject: readonly string[]
  /** Identifies this one act for ever, so that seeing it again after a restart is not a second finding. */
  act?: string
  /** More has become known of an act that was told already: its evidence is added to the finding, which stays one. */
  completes?: boolean
  /** Further rules that apply to the same act. */
  also?: readonly string[]
  /**
   * An act that another rule tells, of whichever detector, and that says what this would say: where that was told, and
   * is no less severe, this is only added to it. Where it was not told, or is allowed, this stands for itself.
   */
  partOf?: { rule: string; act: string }
  evidence: { readonly [key: string]: Json }
}

export type FindingState = 'firing' | 'resolved' | 'suppressed'

/** A finding as it is stored, sent and printed; the field names are public. */
export type Finding = {
  /** A ULID: sorts by the time it was made. */
  id: string
  /** When it happened, RFC 3339 with milliseconds. */
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
  /** By what a finding of state `suppressed` is allowed, and why; it is not sent. */
  suppressed?: Suppression
  /** 12 hexadecimal digits over host, rule, container name and subject. */
  fingerprint: string
}

/** What allows a finding: an entry of the configuration or a label, and the reason given there. */
export type Suppression = { by: string; reason: string }

export type FindingContainer = {
  id: string
  name: string
  image: string
  image_id: string
  compose_project: string
  compose_service: string
}

/** The part of a container that goes into findings. */
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

/** Same host, rule, container and subject give the same fingerprint, across restarts and versions. */
export function fingerprintOf(host: string, detection: Detection): string {
  const parts = [host, detection.rule, detection.container?.name ?? '', ...detection.subject]
  return hash('sha256', JSON.stringify(parts)).slice(0, 12)
}

/** Whether a severity is at least as bad as another. */
export function isAtLeast(severity: Severity, minimum: Severity): boolean {
  return severities.indexOf(severity) >= severities.indexOf(minimum)
}
