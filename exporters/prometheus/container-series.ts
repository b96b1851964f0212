import type { Container, ContainerView } from '../../agent/model/container.ts'
import type { Observation, ResourceSample } from '../../agent/model/observation.ts'
import type { Series } from './instruments.ts'
import { otherName, risingSum, seriesBudget } from './series-budget.ts'

export const containerLabels = ['container', 'image'] as const
export type ContainerLabels = (typeof containerLabels)[number]

/** A container's latest sample, and when it exited. Times are epoch milliseconds. */
type Entry = { sample: ResourceSample; endedAt: number | null }

type Sampled = { isOwn: boolean; labels: Record<ContainerLabels, string> } & Parameters<ValueOf>[0]

/** Reads one value of a sampled container; null for no series. */
export type ValueOf = (sampled: { container: Container; sample: ResourceSample }) => number | null

export type ContainerSeriesOptions = {
  containers: ContainerView
  now: () => number
  /** How many containers get their own series; the others are summed. */
  maxContainers: number
}

// Prometheus looks back five minutes for a sample. After that, the last value of an exited container can be dropped.
const seriesLifetimeMs = 300_000

/** Stores the latest sample of each container and creates time series from them within the budget. */
export function containerSeries({ containers, now, maxContainers }: ContainerSeriesOptions) {
  const entries = new Map<string, Entry>()
  const budget = seriesBudget(maxContainers)
  let inScrape: readonly Sampled[] | null = null

  /** Computed once per scrape, so that all metrics agree. */
  function sampled(): readonly Sampled[] {
    return (inScrape ??= sampledNow())
  }

  /** One entry per name. When a container was replaced under the same name, the newest wins. */
  function sampledNow(): Sampled[] {
    const named = new Map<string, Sampled>()
    for (const [id, { sample, endedAt }] of entries) {
      if (endedAt !== null && endedAt < now() - seriesLifetimeMs) {
        entries.delete(id)
        budget.release(id)
        continue
      }
      const container = containers.get(id) ?? sample.container
      named.set(container.name, { isOwn: budget.admits(id), labels: labelsOf(container), sample, container })
    }
    return [...named.values()]
  }

  return {
    observed(observation: Observation): void {
      if (observation.kind === 'resources') {
        // Insertion order makes the newest container of a name win.
        entries.delete(observation.container.id)
        entries.set(observation.container.id, { sample: observation, endedAt: null })
      } else if (observation.kind === 'container') {
        const { action, container } = observation
        const isEnd = action === 'died' || action === 'removed'
        const entry = entries.get(container.id)
        if (entry !== undefined) {
          // The container may have been renamed since it was sampled.
          entry.sample = { ...entry.sample, container }
          if (isEnd) entry.endedAt ??= now()
        } else if (isEnd) budget.release(container.id)
      }
    },

    /** Must be called before each scrape: discards the values of the previous one. */
    beginScrape(): void {
      inScrape = null
    },

    /** Values that can be summed: containers over the budget share one series. */
    *gauges(valueOf: ValueOf): Generator<Series<ContainerLabels>> {
      let other: number | null = null
      for (const one of sampled()) {
        const value = valueOf(one)
        if (value === null) continue
        if (one.isOwn) yield [one.labels, value]
        else other = (other ?? 0) + value
      }
      if (other !== null) yield [others, other]
    },

    /** The same for counters. Create it once per metric: it keeps the sum of the other containers between scrapes. */
    totals(valueOf: ValueOf): () => Generator<Series<ContainerLabels>> {
      const sumOfOthers = risingSum()
      return function* () {
        const values = new Map<string, number>()
        for (const one of sampled()) {
          const value = valueOf(one)
          if (value === null) continue
          if (one.isOwn) yield [one.labels, value]
          else values.set(one.container.id, value)
        }
        const sum = sumOfOthers(values)
        if (values.size > 0) yield [others, sum]
      }
    },

    /** Running containers with their own series. */
    own: () => containers.running().filter(({ id }) => budget.admits(id)),
    /** Running containers without their own series. */
    folded: () => containers.running().filter(({ id }) => !budget.admits(id)),
  }
}

export const others: Readonly<Record<ContainerLabels, string>> = { container: otherName, image: '' }

export function labelsOf({ name, image }: Container): Record<ContainerLabels, string> {
  return { container: name, image }
}
