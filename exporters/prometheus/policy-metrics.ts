import type { Instruments } from './instruments.ts'

export type PolicyMetricsOptions = {
  allowEntries: () => readonly { expired: boolean }[]
}

/** What the policy allows: an entry that expired, or one that nobody remembers, should be seen. */
export function createPolicyMetrics(make: Instruments, { allowEntries }: PolicyMetricsOptions): void {
  make.mirror(
    'tidewatch_policy_allow_entries',
    'Entries of policy.allow: in force, or expired.',
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
