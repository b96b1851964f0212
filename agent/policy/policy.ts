import type { PolicyConfig } from '../config/policy-schema.ts'
import type { Finding, Suppression } from '../model/finding.ts'
import { type Allow, createAllow, type Labels } from './allow.ts'
import type { Redactor } from '../model/redactor.ts'
import { createRedactor } from './redact.ts'

export type PolicyOptions = {
  config: PolicyConfig
  now: () => number
  /** Told what an operator has to know of the entries: each once. */
  onNotice: (line: string) => void
}

/** The policy in force: findings are made, judged and told by it, also after it was replaced. */
export type Policy = {
  allowedBy(finding: Finding, labels: Labels): Suppression | null
  redact: Redactor
  entries: Allow['entries']
  replace(config: PolicyConfig): void
  /** Says of entries that have expired since it was last asked; true where there are some. */
  hasExpired(): boolean
}

/** Compiles a policy that was found valid. */
export function createPolicy({ config, now, onNotice }: PolicyOptions): Policy {
  let allow: Allow
  let redactor: Redactor
  let expired = new Set<string>()
  use(config)

  function use({ allow: entries, trust_labels: trustLabels, redact, redact_secrets }: PolicyConfig): void {
    const onFailure = (entry: string, message: string) =>
      onNotice(`${entry} does not allow a finding that it cannot be asked about: ${message}`)
    allow = createAllow({ entries, trustLabels, now, onFailure })
    redactor = createRedactor({ secrets: redact_secrets, patterns: redact })
    expired = new Set()
  }

  return {
    allowedBy: (finding, labels) => allow.by(finding, labels),
    redact: {
      text: (text) => redactor.text(text),
      field: (key, value) => redactor.field(key, value),
    },
    entries: () => allow.entries(),
    replace: use,
    hasExpired() {
      const since = allow.entries().filter((entry) => entry.expired && !expired.has(entry.name))
      for (const { name, reason } of since) {
        expired.add(name)
        onNotice(`${name} has expired and allows nothing any more: ${reason}`)
      }
      return since.length > 0
    },
  }
}
