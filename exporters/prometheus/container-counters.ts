import type { Container } from '../../agent/model/container.ts'
import type { ResourceSample } from '../../agent/model/observation.ts'

/** Reads one value of a sampled container; null for no series. */
export type ValueOf = (sampled: { container: Container; sample: ResourceSample }) => number | null

/**
 * A counter of containers. `per: 'run'`: the kernel counts from 0 after each start; `per: 'container'`: the engine
 * counts on.
 */
export type ContainerCounter = { valueOf: ValueOf; per: 'run' | 'container' }

/** What one container has counted, across its restarts. */
export type OwnCounters = {
  /** By counter; never falls. */
  readonly counted: readonly number[]
  /** Adds what the values increased by since the last ones, and reports each increase. */
  update(
    sampled: { container: Container; sample: ResourceSample },
    isNewSample: boolean,
    onIncrease: (counter: number, increase: number) => void,
  ): void
}

/** Counts a container from its first sample, whose values count as a whole. */
export function ownCounters(counters: readonly ContainerCounter[]): OwnCounters {
  const counted = counters.map(() => 0)
  const last: number[] = []
  let startedAt: number | undefined

  return {
    counted,
    update(sampled, isNewSample, onIncrease) {
      const { details } = sampled.sample.container
      // A value can already be higher than it was at the end of the previous run.
      const isNewRun = details !== null && startedAt !== undefined && details.startedAt !== startedAt
      if (isNewSample) startedAt = details?.startedAt ?? startedAt
      for (const [index, { valueOf, per }] of counters.entries()) {
        if (per === 'run' && !isNewSample) continue
        const value = valueOf(sampled)
        if (value === null) continue
        const before = (per === 'run' && isNewRun ? undefined : last[index]) ?? 0
        const increase = value >= before ? value - before : value
        last[index] = value
        counted[index] = (counted[index] ?? 0) + increase
        if (increase > 0) onIncrease(index, increase)
      }
    },
  }
}
