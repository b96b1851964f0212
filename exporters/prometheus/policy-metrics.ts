import type { Instruments } from './instruments.ts'

export type PolicyMetricsOptions = {
  allowEntries: () => readonly { expired: boolean }[]
}

/** Allow entries of the policy: makes expired and forgotten entries visible. */
export function createPolicyMetrics(make: Instruments, { allowEntries }: PolicyMetricsOptions): void {
  make.mirror(
    'tidewatch_policy_allow_entries',
    'Entries of policy.allow: active or expired.',
    ['state'],
    () => {
      const entries = allowEntries()
      const expired = entries.filter((entry) => entry.expired).length
      return [
        [{ state: 'active' }, entries.length - expired],
        [{ state: 'expired' }, expired],
      ]
    },
  )
}
