import type { Instruments } from './instruments.ts'

export type ProfileMetricsOptions = {
  profiles: () => readonly { image: string; state: 'learning' | 'learned' }[]
}

/** What is known so far of the programs that run as root: until a profile is learned, new ones are not reported. */
export function createProfileMetrics(make: Instruments, { profiles }: ProfileMetricsOptions): void {
  make.mirror(
    'tidewatch_profile_state',
    '1 for the state of the image’s profile of root programs: learning or learned.',
    ['image', 'state'],
    () => profiles().map(({ image, state }) => [{ image, state }, 1]),
  )
}
