import type { Container } from '../../model/container.ts'
import type { Usage } from './usage.ts'

/** How often containers are looked at, in milliseconds, and from which share of a limit on more often. */
export type Pace = { intervalMs: number; nearIntervalMs: number; nearRatio: number }

/** When each container is to be looked at next: one that has just started at once, one near a limit soon. */
export type Agenda = {
  tickMs: number
  /** Those whose turn it is at a tick; ticks count up and may be skipped. */
  due(running: readonly Container[], tick: number): Container[]
  /** `usage` is null where the look showed none. */
  looked(container: Container, usage: Usage | null, tick: number): void
}

/** Ticks as often as containers near a limit are to be looked at, in whole parts of the interval of the others. */
export function agenda({ intervalMs, nearIntervalMs, nearRatio }: Pace): Agenda {
  const ticksBetween = Math.max(1, Math.round(intervalMs / nearIntervalMs))
  // By the pid too: a container that was started again has a new cgroup, which nothing watches yet.
  let next = new Map<string, { pid: number; tick: number }>()
  return {
    tickMs: intervalMs / ticksBetween,
    due(running, tick) {
      const before = next
      next = new Map()
      return running.filter(({ id, details }) => {
        const pid = details?.pid ?? 0
        const known = before.get(id)
        const turn = known?.pid === pid ? known : { pid, tick }
        next.set(id, turn)
        return turn.tick <= tick
      })
    },
    looked({ id, details }, usage, tick) {
      const isNear = usage !== null && shareOfLimits(usage) >= nearRatio
      next.set(id, { pid: details?.pid ?? 0, tick: tick + (isNear ? 1 : ticksBetween) })
    },
  }
}

/** The greatest share of a limit that is in use, of the limits that bring harm when they are reached; 0 without them. */
export function shareOfLimits({ memory, pids }: Pick<Usage, 'memory' | 'pids'>): number {
  const ofMemory = memory.limitBytes ? memory.workingSetBytes / memory.limitBytes : 0
  const ofPids = pids.limit ? pids.current / pids.limit : 0
  return Math.max(ofMemory, ofPids)
}
