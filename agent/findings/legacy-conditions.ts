import type { Finding, Json } from '../model/finding.ts'
import { shortHash } from '../lib/short-hash.ts'

/**
 * The subject of a condition that release 0.1.0 stored; null for a finding of a later version. 0.1.0 identified a
 * container by its name, so the fingerprint of its conditions does not identify them any more. Their alerts keep it:
 * Alertmanager would otherwise resolve them and notify of new ones.
 */
export function legacySubject({ host, rule, container, evidence, fingerprint }: Finding): string[] | null {
  const subject = (subjectFields[rule] ?? []).map((key) => textOf(evidence[key]))
  return shortHash([host, rule, container?.name ?? '', ...subject]) === fingerprint ? subject : null
}

/** The evidence that was the subject of each rule; the subjects of the other conditions were empty. */
const subjectFields: Readonly<Record<string, readonly string[]>> = {
  'mask-missing': ['missing', 'path'],
  'runtime-binary-mismatch': ['path'],
  'runtime-vulnerable': ['cve', 'component'],
  'source-degraded': ['source'],
}

function textOf(value: Json): string {
  return typeof value === 'string' ? value : ''
}
