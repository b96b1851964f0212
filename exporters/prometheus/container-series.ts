import type { Container, ContainerState, ContainerView } from '../../agent/model/container.ts'
import type { ContainerObservation, Observation, ResourceSample } from '../../agent/model/observation.ts'
import { type ContainerCounter, type OwnCounters, ownCounters, type ValueOf } from './container-counters.ts'
import type { Series } from './instruments.ts'
import { labelTotals } from './label-totals.ts'
import { otherName, risingSum, seriesBudget } from './series-budget.ts'

export const containerLabels = ['container', 'image'] as const
export type ContainerLabels = (typeof containerLabels)[number]

/** A container with its latest sample, and when it exited. Times are epoch milliseconds. */
type Entry = {
  container: Container
  sample: ResourceSample
  endedAt: number | null
  counters: OwnCounters
  /** The label set in whose totals it counts; null beyond the budget. */
  key: string | null
}

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
  /** Exited containers, in the order of their end. */
  const ended = new Map<string, Entry>()
  const budget = seriesBudget(maxContainers)
  const counters: ContainerCounter[] = []
  const totals = labelTotals(maxContainers)
  let inScrape: readonly Entry[] | null = null

  /** Computed once per scrape, so that all metrics agree. */
  function present(): readonly Entry[] {
    return (inScrape ??= presentNow())
  }

  function presentNow(): Entry[] {
    removeOld()
    for (const entry of entries.values()) update(entry, containers.get(entry.container.id) ?? entry.container)
    return [...entries.values()]
  }

  function removeOld(): void {
    for (const [id, entry] of ended) {
      if ((entry.endedAt ?? 0) >= now() - seriesLifetimeMs) return
      ended.delete(id)
      entries.delete(id)
      budget.release(id)
      if (entry.key !== null) totals.leave(entry.key)
    }
  }

  function sampled(sample: ResourceSample): void {
    const { id } = sample.container
    const container = containers.get(id) ?? sample.container
    const entry = entries.get(id) ?? newEntry(container, sample)
    entry.sample = sample
    // Insertion order makes the newest container of a name win.
    entries.delete(id)
    entries.set(id, entry)
    update(entry, container, true)
    // The last sample of a container can come after its end.
    if (endStates.has(container.state)) end(entry)
    else revive(entry)
  }

  function newEntry(container: Container, sample: ResourceSample): Entry {
    return { container, sample, endedAt: null, counters: ownCounters(counters), key: null }
  }

  /** Counts what was added, under the container's current labels. */
  function update(entry: Entry, container: Container, isNewSample = false): void {
    entry.container = container
    const key = keyOf(container)
    if (entry.key !== null && entry.key !== key) {
      totals.move(entry.key, key, entry.counters.counted)
      entry.key = key
    }
    entry.counters.update(entry, isNewSample, (counter, increase) => {
      if (entry.key !== null) totals.add(entry.key, counter, increase)
    })
    if (entry.key === null && budget.admits(container.id)) {
      totals.join(key, entry.counters.counted)
      entry.key = key
    }
  }

  function changed({ action, container }: ContainerObservation): void {
    const entry = entries.get(container.id)
    const isEnd = action === 'died' || action === 'removed'
    if (entry === undefined) {
      if (isEnd) budget.release(container.id)
      return
    }
    // It may have been renamed or restarted since it was sampled.
    update(entry, container)
    if (isEnd) end(entry)
    if (action === 'started') revive(entry)
  }

  function end(entry: Entry): void {
    if (entry.endedAt !== null) return
    entry.endedAt = now()
    ended.set(entry.container.id, entry)
  }

  function revive(entry: Entry): void {
    entry.endedAt = null
    ended.delete(entry.container.id)
  }

  /** One entry per name. When a container was replaced under the same name, the newest wins. */
  function newest(): Iterable<Entry> {
    const named = new Map<string, Entry>()
    for (const entry of present()) {
      const other = named.get(entry.container.name)
      if (other?.endedAt === null && entry.endedAt !== null) continue
      named.set(entry.container.name, entry)
    }
    return named.values()
  }

  return {
    observed(observation: Observation): void {
      removeOld()
      if (observation.kind === 'resources') sampled(observation)
      else if (observation.kind === 'container') changed(observation)
    },

    /** Must be called before each scrape: discards the values of the previous one. */
    beginScrape(): void {
      inScrape = null
    },

    /** Values that can be summed: containers over the budget share one series. */
    *gauges(valueOf: ValueOf): Generator<Series<ContainerLabels>> {
      let other: number | null = null
      for (const entry of newest()) {
        const value = valueOf(entry)
        if (value === null) continue
        if (entry.key !== null) yield [labelsOf(entry.container), value]
        else other = (other ?? 0) + value
      }
      if (other !== null) yield [others, other]
    },

    /**
     * The same for counters, which continue when a container is restarted or replaced under its name. Create them before
     * the first observation.
     */
    totals(valueOf: ValueOf, per: ContainerCounter['per'] = 'run'): () => Generator<Series<ContainerLabels>> {
      const counter = counters.push({ valueOf, per }) - 1
      const sumOfOthers = risingSum()
      return function* () {
        const values = new Map<string, number>()
        const yielded = new Set<string>()
        for (const entry of present()) {
          if (valueOf(entry) === null) continue
          const { key, container } = entry
          if (key === null) values.set(container.id, entry.counters.counted[counter] ?? 0)
          else if (!yielded.has(key)) yield [labelsOf(container), rounded(totals.value(key, counter))]
          if (key !== null) yielded.add(key)
        }
        const sum = sumOfOthers(values)
        if (values.size > 0) yield [others, rounded(sum)]
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

/** Sums of fractions have digits that nothing measured. */
function rounded(value: number): number {
  return Number.isInteger(value) ? value : Math.round(value * 1e6) / 1e6
}

// Neither can contain a zero byte.
function keyOf({ name, image }: Container): string {
  return `${name}\0${image}`
}

const endStates: ReadonlySet<ContainerState> = new Set(['exited', 'dead', 'removing'])
