import type { CurrentConfig } from '../config/current.ts'
import type { Redactor } from '../model/redactor.ts'
import { createRedactor } from './redact.ts'

/**
 * Redacts by the current configuration. It is independent of the policy, because the log masks secrets from its first
 * line and the policy writes to the log.
 */
export function currentRedactor(current: Pick<CurrentConfig, 'derived'>): Redactor {
  const redactor = current.derived(({ policy }) =>
    createRedactor({ secrets: policy.redact_secrets, patterns: policy.redact }),
  )
  return {
    text: (text) => redactor().text(text),
    field: (key, value) => redactor().field(key, value),
  }
}
