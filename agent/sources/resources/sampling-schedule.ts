import type { Container } from '../../model/container.ts'
import type { Usage } from './usage.ts'

/**
 * How often containers are sampled, in milliseconds, and the share of a limit from which they are sampled more often.
 */
export type SamplingIntervals = { intervalMs: number; nearIntervalMs: number; nearRatio: number }

/** When each container is sampled next: a container that has just started immediately, one near a limit soon. */
export type SamplingSchedule = {
  tickMs: number
  /** The containers that are due at a tick; ticks count up and may be skipped. */
  due(running: readonly Container[], tick: number): Container[]
  /** `usage` is null when the sample has none. */
  sampled(container: Container, usage: Usage | null, tick: number): void
}

/** Ticks as often as containers near a limit are sampled; the interval of the others is a whole number of ticks. */
export function samplingSchedule({
  intervalMs,
  nearIntervalMs,
  nearRatio,
}: SamplingIntervals): SamplingSchedule {
  const ticksBetween = Math.max(1, Math.round(intervalMs / nearIntervalMs))
  // By the pid too: a restarted container has a new cgroup, which is not watched yet.
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
    sampled({ id, details }, usage, tick) {
      const isNear = usage !== null && shareOfLimits(usage) >= nearRatio
      next.set(id, { pid: details?.pid ?? 0, tick: tick + (isNear ? 1 : ticksBetween) })
    },
  }
}

/** The highest share in use of the limits that cause harm when they are reached; 0 without such limits. */
export function shareOfLimits({ memory, pids }: Pick<Usage, 'memory' | 'pids'>): number {
  const ofMemory = memory.limitBytes ? memory.workingSetBytes / memory.limitBytes : 0
  const ofPids = pids.limit ? pids.current / pids.limit : 0
  return Math.max(ofMemory, ofPids)
}
