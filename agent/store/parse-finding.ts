import type { Finding } from '../model/finding.ts'

/** Reads a stored finding. 0.1.0 stored no resolution: it replaced the summary. */
export function parseFinding(json: unknown): Finding {
  const finding = JSON.parse(String(json)) as Finding | StoredBy010
  if ('resolved_at' in finding) return finding
  const { state, last_seen, summary } = finding
  if (state !== 'resolved') return { ...finding, resolved_at: null, resolution: null }
  return { ...finding, resolved_at: last_seen, resolution: summary }
}

type StoredBy010 = Omit<Finding, 'resolved_at' | 'resolution'>
