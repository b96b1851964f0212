import type { PolicyConfig } from '../config/policy-schema.ts'
import type { Finding, Suppression } from '../model/finding.ts'
import { type Allow, createAllow, type Labels } from './allow.ts'

export type PolicyOptions = {
  config: PolicyConfig
  now: () => number
  /** Called once for each problem with an entry that the operator should know about. */
  onNotice: (message: string, entry: string) => void
}

/** What the current policy allows; `replace` changes it in place. */
export type Policy = {
  allowedBy(finding: Finding, labels: Labels): Suppression | null
  entries: Allow['entries']
  replace(config: PolicyConfig): void
  /** Reports entries that have expired since the last call; true if there are any. */
  hasExpired(): boolean
}

/** Compiles a valid policy. */
export function createPolicy({ config, now, onNotice }: PolicyOptions): Policy {
  let allow: Allow
  let expired = new Set<string>()
  use(config)

  function use({ allow: entries, trust_labels: trustLabels }: PolicyConfig): void {
    const onFailure = (entry: string, message: string) =>
      onNotice(`${entry} failed to evaluate, so it does not allow the finding: ${message}`, entry)
    const onDeprecated = (entry: string, notice: string) => onNotice(notice, entry)
    allow = createAllow({ entries, trustLabels, now, onFailure, onDeprecated })
    expired = new Set()
  }

  return {
    allowedBy: (finding, labels) => allow.by(finding, labels),
    entries: () => allow.entries(),
    replace: use,
    hasExpired() {
      const newlyExpired = allow.entries().filter((entry) => entry.expired && !expired.has(entry.name))
      for (const { name, reason } of newlyExpired) {
        expired.add(name)
        onNotice(`${name} has expired and no longer allows anything: ${reason}`, name)
      }
      return newlyExpired.length > 0
    },
  }
}
