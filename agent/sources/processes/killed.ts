import type { ProcessKilled } from '../../model/observation.ts'
import type { KnownProcess, Membership } from './table/known-process.ts'

export type KilledOptions = {
  describe: (process: KnownProcess, membership: Membership, sinceBoot: number) => ProcessKilled
  emit: (observation: ProcessKilled) => void
}

// A container that is stopped with all that runs in it, or kills without end, is told of in its beginning: whom the
// kernel chose among so many nobody could say anyway.
const maxPerSecond = 32
const maxContainers = 1_024

/** Reports which processes of containers ended by SIGKILL: among them are the victims of OOM kills. */
export function killedProcesses({ describe, emit }: KilledOptions) {
  const told = new Map<string, number>()
  return {
    ended(process: KnownProcess, sinceBoot: number): void {
      const { membership, exit } = process
      if (membership === null || membership.build || exit?.code?.signal !== SIGKILL) return
      const count = told.get(membership.id) ?? 0
      if (count >= maxPerSecond || (count === 0 && told.size >= maxContainers)) return
      told.set(membership.id, count + 1)
      emit(describe(process, membership, sinceBoot))
    },
    everySecond: () => told.clear(),
  }
}

const SIGKILL = 9
