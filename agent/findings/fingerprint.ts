import type { Detection, FindingKind, Json } from '../model/finding.ts'
import type { Redactor } from '../model/redactor.ts'
import { shortHash } from '../lib/short-hash.ts'
import { clipArgv } from '../lib/text.ts'

/** What a fingerprint identifies. */
export type Identified = Pick<Detection, 'rule' | 'subject' | 'targetUser' | 'actor'> & {
  container: { id: string } | null
}

/**
 * Identifies an act or a condition on a host, across restarts and versions. An event's subject is redacted first, so
 * that a fingerprint confirms no guess of a password, and two acts that differ only in a secret are equal.
 */
export function fingerprintOf(
  hostId: string,
  kind: FindingKind,
  { rule, container, subject, targetUser = '', actor = '' }: Identified,
  redact: Redactor,
): string {
  const act = kind === 'event' ? [redactedSubject(subject, redact), targetUser, actor] : subject
  return shortHash([hostId, rule, container?.id ?? '', act])
}

// Searching for secrets takes time, and a command line may be 2 MB long.
const maxRedacted = 65_536

/** The digest distinguishes long command lines with the same beginning. */
function redactedSubject(subject: readonly string[], redact: Redactor): Json {
  const length = subject.reduce((sum, word) => sum + word.length, 0)
  if (length <= maxRedacted) return redact.field('argv', subject)
  return [redact.field('argv', clipArgv(subject)), shortHash(subject)]
}
