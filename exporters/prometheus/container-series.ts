import type { Container, ContainerView } from '../../agent/model/container.ts'
import type { Observation, ResourceSample } from '../../agent/model/observation.ts'
import type { Series } from './instruments.ts'
import { otherName, risingSum, seriesBudget } from './series-budget.ts'

export const containerLabels = ['container', 'image'] as const
export type ContainerLabels = (typeof containerLabels)[number]

/** A container's latest sample, and when it ended. Times are epoch milliseconds. */
type Entry = { sample: ResourceSample; endedAt: number | null }

type Sampled = { isOwn: boolean; labels: Record<ContainerLabels, string> } & Parameters<ValueOf>[0]

/** What is read of a sampled container; null where there is nothing to show. */
export type ValueOf = (sampled: { container: Container; sample: ResourceSample }) => number | null

export type ContainerSeriesOptions = {
  containers: ContainerView
  now: () => number
  /** How many containers have series of their own; the others are summed. */
  maxContainers: number
}

// Prometheus looks back five minutes for a series; then the last value of an ended container can go.
const seriesLifetimeMs = 300_000

/** Keeps the latest sample of each container, and makes series of them within the budget. */
export function containerSeries({ containers, now, maxContainers }: ContainerSeriesOptions) {
  const entries = new Map<string, Entry>()
  const budget = seriesBudget(maxContainers)
  let inScrape: readonly Sampled[] | null = null

  /** The same for all metrics of a scrape. */
  function sampled(): readonly Sampled[] {
    return (inScrape ??= sampledNow())
  }

  /** One for each name: of containers that followed each other under a name, the newest. */
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
        // Insertion order is what makes the newest of one name win.
        entries.delete(observation.container.id)
        entries.set(observation.container.id, { sample: observation, endedAt: null })
      } else if (observation.kind === 'container') {
        const { action, container } = observation
        const isEnd = action === 'died' || action === 'removed'
        const entry = entries.get(container.id)
        if (entry !== undefined) {
          // It may have been renamed since it was sampled.
          entry.sample = { ...entry.sample, container }
          if (isEnd) entry.endedAt ??= now()
        } else if (isEnd) budget.release(container.id)
      }
    },

    /** To be called before each scrape, which shows what is known by then. */
    beginScrape(): void {
      inScrape = null
    },

    /** Values that add up: those of containers beyond the budget are one series. */
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

    /** The same for totals, which have to be made once for each metric: the sum of the others is kept between scrapes. */
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

    /** Those running that have series of their own. */
    own: () => containers.running().filter(({ id }) => budget.admits(id)),
    /** Those running that have none. */
    folded: () => containers.running().filter(({ id }) => !budget.admits(id)),
  }
}

export const others: Readonly<Record<ContainerLabels, string>> = { container: otherName, image: '' }

export function labelsOf({ name, image }: Container): Record<ContainerLabels, string> {
  return { container: name, image }
}
