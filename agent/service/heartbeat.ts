import type { SourceName, SourceStatus } from '../model/observation.ts'
import type { Pulse } from '../model/source.ts'
import { sourceDown } from '../model/source-reports.ts'

/** Detects sources whose loop has stopped without an error. */
export type Heartbeat = {
  /** The pulse of a source that runs a loop; a source that has never sent a pulse is not monitored. */
  pulseOf(source: SourceName): Pulse
  /** Records a source's status: a source that is down waits for its restart, and is not hung. */
  record(status: SourceStatus): void
  /** Checks all sources; returns the statuses that changed since the last call. */
  beat(at: BeatTime): SourceStatus[]
  hung(): readonly SourceName[]
}

/** Milliseconds: `monotonic` to measure elapsed time, `epoch` for the reported status. */
export type BeatTime = { monotonic: number; epoch: number }

type Deadline = { dueAt: number; isHung: boolean }

/**
 * Measures time in beats, and counts a beat as two intervals at most: after the process was stopped or the machine
 * slept, the sources get time to send a pulse before they count as hung.
 */
export function createHeartbeat(everyMs: number): Heartbeat {
  const deadlines = new Map<SourceName, Deadline>()
  const statuses = new Map<SourceName, SourceStatus>()
  let elapsed = 0
  let last: number | null = null

  function check(source: SourceName, deadline: Deadline, time: number): SourceStatus[] {
    const isHung = elapsed > deadline.dueAt
    if (isHung === deadline.isHung) return []
    deadline.isHung = isHung
    const before = statuses.get(source)
    if (!isHung) return before === undefined ? [] : [{ ...before, time }]
    return [sourceDown(source, time, 'heartbeat missed; the source appears hung')]
  }

  return {
    pulseOf: (source) => (nextWithinMs) => {
      const isHung = deadlines.get(source)?.isHung ?? false
      deadlines.set(source, { dueAt: elapsed + nextWithinMs, isHung })
    },
    record(status) {
      statuses.set(status.source, status)
      if (!status.up) deadlines.delete(status.source)
    },
    beat({ monotonic, epoch }) {
      elapsed += Math.min(monotonic - (last ?? monotonic), 2 * everyMs)
      last = monotonic
      return [...deadlines].flatMap(([source, deadline]) => check(source, deadline, epoch))
    },
    hung: () => [...deadlines].filter(([, { isHung }]) => isHung).map(([source]) => source),
  }
}
