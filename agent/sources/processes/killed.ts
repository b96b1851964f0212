import type { ProcessKilled } from '../../model/observation.ts'
import type { KnownProcess, Membership } from './table/known-process.ts'

export type KilledOptions = {
  describe: (process: KnownProcess, membership: Membership, sinceBoot: number) => ProcessKilled
  emit: (observation: ProcessKilled) => void
}

// When a container is stopped with all its processes, or keeps killing processes, only the first kills are reported:
// among so many the OOM victim could not be identified anyway.
const maxPerSecond = 32
const maxContainers = 1_024

/** Reports container processes that ended by SIGKILL; OOM victims are among them. */
export function killedProcesses({ describe, emit }: KilledOptions) {
  const reported = new Map<string, number>()
  return {
    ended(process: KnownProcess, sinceBoot: number): void {
      const { membership, exit } = process
      if (membership === null || membership.build || exit?.code?.signal !== SIGKILL) return
      const count = reported.get(membership.id) ?? 0
      if (count >= maxPerSecond || (count === 0 && reported.size >= maxContainers)) return
      reported.set(membership.id, count + 1)
      emit(describe(process, membership, sinceBoot))
    },
    everySecond: () => reported.clear(),
  }
}

const SIGKILL = 9
