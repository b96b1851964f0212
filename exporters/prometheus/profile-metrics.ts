import type { Instruments } from './instruments.ts'

export type ProfileMetricsOptions = {
  profiles: () => readonly { image: string; state: 'learning' | 'learned' }[]
}

/** The learning state of the profiles of root programs: new programs are not reported until a profile is learned. */
export function createProfileMetrics(make: Instruments, { profiles }: ProfileMetricsOptions): void {
  make.mirror(
    'tidewatch_profile_state',
    '1 for the current state of the image’s profile of root programs: learning or learned.',
    ['image', 'state'],
    () => profiles().map(({ image, state }) => [{ image, state }, 1]),
  )
}
