import type { SourceName, SourceStatus } from '../model/observation.ts'
import type { Pulse } from '../model/source.ts'

/** Knows which sources have stopped going round although nothing failed: what no error tells of. */
export type Heartbeat = {
  /** For a source that goes round; one that has never said so is not waited for. */
  pulseOf(source: SourceName): Pulse
  /** To be told what sources say of themselves: one that is down waits for its next start, and is not hung. */
  heard(status: SourceStatus): void
  /** One beat: what changed since the last, as the sources would say it if they could. */
  beat(at: Moment): SourceStatus[]
  hung(): readonly SourceName[]
}

/** Milliseconds: `monotonic` for how much time went by, `epoch` for the record. */
export type Moment = { monotonic: number; epoch: number }

type Promised = { dueAt: number; isHung: boolean }

/**
 * Time goes by in beats, and no beat counts for more than two: a process that was stopped, or whose machine
 * slept, finds its sources as it left them, and lets them go round before it judges.
 */
export function createHeartbeat(everyMs: number): Heartbeat {
  const promises = new Map<SourceName, Promised>()
  const statuses = new Map<SourceName, SourceStatus>()
  let elapsed = 0
  let last: number | null = null

  function judge(source: SourceName, promised: Promised, time: number): SourceStatus[] {
    const isHung = elapsed > promised.dueAt
    if (isHung === promised.isHung) return []
    promised.isHung = isHung
    const before = statuses.get(source)
    if (!isHung) return before === undefined ? [] : [{ ...before, time }]
    const reason = 'it hangs: it has not gone round in the time it takes'
    return [{ kind: 'source-status', time, source, up: false, mode: '', best: false, reason }]
  }

  return {
    pulseOf: (source) => (nextWithinMs) => {
      const isHung = promises.get(source)?.isHung ?? false
      promises.set(source, { dueAt: elapsed + nextWithinMs, isHung })
    },
    heard(status) {
      statuses.set(status.source, status)
      if (!status.up) promises.delete(status.source)
    },
    beat({ monotonic, epoch }) {
      elapsed += Math.min(monotonic - (last ?? monotonic), 2 * everyMs)
      last = monotonic
      return [...promises].flatMap(([source, promised]) => judge(source, promised, epoch))
    },
    hung: () => [...promises].filter(([, { isHung }]) => isHung).map(([source]) => source),
  }
}
