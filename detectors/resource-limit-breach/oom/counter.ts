import type { ResourceSample } from '../../../agent/model/observation.ts'
import { explainDeaths } from './engine-event.ts'
import { type Counted, countedKills, type Ledger, type Recorded, startOf, undecided } from './ledger.ts'
import { survived } from './report.ts'

/** Records the kernel's counter of OOM kills, and whether the first process survived those counted before. */
export function recordSample(before: Ledger, sample: ResourceSample): Recorded {
  const { time, container, memory } = sample
  // Sampled before the end of the run was known.
  if (before.up === false) return [before, []]
  const now = memory.oomKills
  const sampled: Ledger = { ...before, up: true, startedAt: startOf(container), sampledAt: time, memory }
  if (now === null) return [sampled, []]
  const decided = decidedAt(before, now)
  const settled: Ledger = { ...sampled, counter: now, decided }
  const shownBefore = Math.max(0, Math.min(before.counter ?? 0, now) - decided)
  const isNewCgroup = before.counter !== null && now < before.counter
  const more = now - decided - (isNewCgroup ? 0 : shownBefore)
  const [afterSurvived, first] =
    shownBefore > 0 && !isNewCgroup && sample.firstProcess === 'running'
      ? decideCounted(settled, shownBefore)
      : [settled, []]
  const [counted, second] = recordCounted(afterSurvived, more, { time, container, memory: before.memory })
  const isQuiet = undecided(counted) === 0 && counted.groupVictims.length === 0
  const quiet = isQuiet ? { settledAt: time, isKillKnown: false } : {}
  return [{ ...counted, ...quiet }, [...first, ...second]]
}

/**
 * How many of the counted kills are already decided. Before the first sample it is unknown which kills are new: one,
 * if there was an event. A counter that decreased belongs to a new cgroup. A victim that was already dying is named
 * by the kernel but not counted.
 */
function decidedAt({ decided, counter, events }: Ledger, now: number): number {
  if (decided === null) return Math.max(0, now - Math.min(1, events.length))
  return counter !== null && now < counter ? 0 : Math.min(decided, now)
}

/** Matches newly counted kills with events; the remaining events are matched with deaths. */
function recordCounted(before: Ledger, more: number, seen: Omit<Counted, 'reportedBy'>): Recorded {
  const events = before.events.slice(Math.max(0, more))
  const [event] = before.events
  const after: Ledger = { ...before, events: [] }
  if (more > 0) {
    after.counted ??= {
      ...seen,
      time: event?.time ?? seen.time,
      reportedBy: event === undefined ? 'counter' : 'event',
    }
    // Several kills can share an event, so at most one is awaited.
    if (event === undefined) after.awaitedEvents += 1
  }
  return explainDeaths(after, events)
}

function decideCounted(before: Ledger, count: number): Recorded {
  const { counted } = before
  if (counted === null) return [before, []]
  const decided = (before.decided ?? 0) + count
  const after: Ledger = { ...before, decided, counted: null, isFlagExplained: true }
  return [after, [survived(countedKills(before, count, counted.container))]]
}
