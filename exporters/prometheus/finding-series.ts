import type { Finding } from '../../agent/model/finding.ts'
import type { ContainerObservation } from '../../agent/model/observation.ts'
import { others } from './container-series.ts'
import type { Series } from './instruments.ts'
import { labelTotals } from './label-totals.ts'
import { otherName } from './series-budget.ts'

export const findingLabels = ['container', 'image', 'detector', 'rule', 'severity'] as const
export type FindingLabels = Record<(typeof findingLabels)[number], string>

type FindingSeriesOptions = {
  /** The current name of a container; undefined if it was removed. */
  nameOf: (containerId: string) => string | undefined
  now: () => number
  maxSeries: number
}

/** The findings of one container under one rule. */
type Entry = {
  labels: FindingLabels
  containerId: string | null
  count: number
  seenAt: number
  lastAt: number
}

// Long enough for an alert on the series to fire and be investigated.
const seriesLifetimeMs = 3_600_000

/** Counts findings by container. Containers with the same name one after another are counted in one series. */
export function findingSeries({ nameOf, now, maxSeries }: FindingSeriesOptions) {
  const entries = new Map<string, Entry>()
  const totals = labelTotals(maxSeries)

  function removeOld(): void {
    for (const [key, { lastAt, labels }] of entries) {
      if (lastAt >= now() - seriesLifetimeMs) continue
      entries.delete(key)
      totals.leave(keyOf(labels))
    }
  }

  function rename(entry: Entry, name: string | undefined): void {
    if (name === undefined || name === entry.labels.container) return
    const before = keyOf(entry.labels)
    entry.labels = { ...entry.labels, container: name }
    totals.move(before, keyOf(entry.labels), [entry.count])
  }

  /** The newest entry of each label set. */
  function present(): Iterable<Entry> {
    removeOld()
    const newest = new Map<string, Entry>()
    for (const entry of entries.values()) {
      if (entry.containerId !== null) rename(entry, nameOf(entry.containerId))
      const key = keyOf(entry.labels)
      if ((newest.get(key)?.seenAt ?? 0) <= entry.seenAt) newest.set(key, entry)
    }
    return newest.values()
  }

  function newEntry(labels: FindingLabels, containerId: string | null): Entry {
    totals.join(keyOf(labels), [])
    return { labels, containerId, count: 0, seenAt: 0, lastAt: 0 }
  }

  function labelsOf({ container, detector, rule, severity }: Finding): FindingLabels {
    const name = container === null ? '' : (nameOf(container.id) ?? container.name)
    return { container: name, image: container?.image ?? '', detector, rule, severity }
  }

  function seen(entry: Entry, finding: Finding): void {
    entry.seenAt = Date.parse(finding.last_seen)
    entry.lastAt = now()
  }

  return {
    labelsOf,

    published(finding: Finding): void {
      if (entries.size >= maxSeries) removeOld()
      const key = idOf(finding)
      // An attacker who creates endless containers gets one series per rule and cannot hide the findings of others.
      const isOwn = entries.has(key) || entries.size < maxSeries
      const keyOrOther = isOwn ? key : otherIdOf(finding)
      const labels = labelsOf(finding)
      const entry =
        entries.get(keyOrOther) ??
        (isOwn ? newEntry(labels, finding.container?.id ?? null) : newEntry({ ...labels, ...others }, null))
      entries.set(keyOrOther, entry)
      if (entry.containerId !== null) rename(entry, nameOf(entry.containerId))
      entry.count += 1
      seen(entry, finding)
      totals.add(keyOf(entry.labels), 0, 1)
    },

    /** Keeps the alert of a finding firing that is seen again: alerts use the time of the last finding. */
    seenAgain(finding: Finding): void {
      const entry = entries.get(idOf(finding)) ?? entries.get(otherIdOf(finding))
      if (entry !== undefined) seen(entry, finding)
    },

    /** The name of a container that is removed after a rename is known only from its observations. */
    observed({ action, container }: ContainerObservation): void {
      if (action !== 'renamed') return
      for (const entry of entries.values())
        if (entry.containerId === container.id) rename(entry, container.name)
    },

    *counts(): Generator<Series<keyof FindingLabels>> {
      for (const { labels } of present()) yield [labels, totals.value(keyOf(labels), 0)]
    },

    /** Unix times of the last findings. */
    *times(): Generator<Series<keyof FindingLabels>> {
      for (const { labels, seenAt } of present()) yield [labels, seenAt / 1_000]
    },
  }
}

function idOf({ container, rule, severity }: Finding): string {
  return `${container?.id ?? ''} ${rule} ${severity}`
}

function otherIdOf({ rule, severity }: Finding): string {
  return `${otherName} ${rule} ${severity}`
}

// No label can contain a zero byte.
function keyOf(labels: FindingLabels): string {
  return findingLabels.map((name) => labels[name]).join('\0')
}
