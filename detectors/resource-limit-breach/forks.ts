import type { Detection } from '../../agent/model/finding.ts'
import type { ResourceSample } from '../../agent/model/observation.ts'
import type { ContainerEvent, Step } from './container-event.ts'
import { slide } from './window.ts'

/** A burst is growth by at least `processes` processes and threads within `within` milliseconds. */
export type BurstSettings = { processes: number; within: number }

/** The state kept about a container's forks. */
export type Forks = {
  sampledAt: number
  /** The kernel's count of refused forks at the last sample; null before there is a baseline. */
  counter: number | null
  refusals: Refusals | null
  window: readonly { time: number; current: number }[]
  burstAt: number
}

/** Consecutive refused forks are one event: reported at the first refusal, then updated. */
type Refusals = { eventKey: string; count: number; lastAt: number; reportedCount: number; reportedAt: number }

export const noForks: Forks = {
  sampledAt: -Infinity,
  counter: null,
  refusals: null,
  window: [],
  burstAt: -Infinity,
}

// Refusals or growth after a pause this long are a new event.
const pauseMs = 60_000
const updateEveryMs = 10_000

/**
 * Reports refused forks, and bursts of new processes: what a fork bomb causes before it reaches its limit. Both are
 * judged by the kernel's counters, because process observations report only executed programs, and a fork bomb does
 * not have to execute any.
 */
export function judgeForks(settings: BurstSettings): Step<Forks, ContainerEvent, Detection> {
  return (before, event) => {
    if (event.kind === 'resources') return judgeSample(before, event, settings)
    // A replayed start from before the last sample says nothing about the sampled cgroup.
    if (event.action !== 'started' || event.time < before.sampledAt) return [before, []]
    return [{ ...noForks, counter: 0, window: [{ time: event.time, current: 0 }] }, []]
  }
}

function judgeSample(
  before: Forks,
  sample: ResourceSample,
  settings: BurstSettings,
): readonly [Forks, Detection[]] {
  const { time, pids } = sample
  const window = slide(before.window, { time, current: pids.current }, settings.within)
  const grown = pids.current - Math.min(...window.map(({ current }) => current))
  const isBurst = isBurstOf(grown, pids, settings) && time - before.burstAt >= pauseMs
  const burst = isBurst ? describeBurst(sample, grown, window[0]?.time ?? time) : null

  const { refusals, detection } = judgeRefusals(before, sample)
  const after: Forks = {
    sampledAt: time,
    counter: pids.refusedForks,
    refusals,
    window,
    burstAt: isBurst ? time : before.burstAt,
  }
  if (detection === null || burst === null) return [after, [detection, burst].filter((one) => one !== null)]
  // A fork bomb that reaches its limit between two samples is one event.
  return [
    after,
    [{ ...detection, also: [burst.rule], evidence: { ...burst.evidence, ...detection.evidence } }],
  ]
}

/** Growth beyond that of an ordinary start, or growth that used up most of a smaller limit. */
export function isBurstOf(
  grown: number,
  { current, limit }: Pick<ResourceSample['pids'], 'current' | 'limit'>,
  { processes }: BurstSettings,
): boolean {
  if (grown >= processes) return true
  return limit !== null && grown >= Math.max(10, limit / 2) && current >= limit * 0.8
}

function describeBurst({ container, time, pids }: ResourceSample, grown: number, since: number): Detection {
  const seconds = Math.round((time - since) / 100) / 10
  return {
    rule: 'process-burst',
    time,
    container,
    summary: `${container.name}: ${grown} new processes and threads in ${seconds} s (now ${pids.current})`,
    subject: [limitSubject(pids)],
    eventKey: `burst:${container.id}:${time}`,
    evidence: { grown_by: grown, in_seconds: seconds, current: pids.current, limit: pids.limit },
  }
}

function judgeRefusals(
  { counter, refusals: before }: Forks,
  sample: ResourceSample,
): { refusals: Refusals | null; detection: Detection | null } {
  const { time, container, pids } = sample
  const more = refusedBetween(counter, pids.refusedForks)
  const isOver = before !== null && time - before.lastAt >= pauseMs
  const known = isOver ? null : before
  if (known === null && more === 0) return { refusals: null, detection: null }

  const eventKey =
    known?.eventKey ?? `refused:${container.id}:${container.details?.startedAt ?? 0}:${pids.refusedForks}`
  const count = (known?.count ?? 0) + more
  const lastAt = more > 0 || known === null ? time : known.lastAt
  const isDue = known === null || (count > known.reportedCount && time - known.reportedAt >= updateEveryMs)
  if (!isDue) return { refusals: { ...known, count, lastAt }, detection: null }
  const detection: Detection = {
    rule: 'pids-limit-hit',
    time: lastAt,
    container,
    summary: describeRefusals(container.name, count, pids),
    subject: [limitSubject(pids)],
    eventKey,
    ...(known === null ? {} : { isUpdate: true }),
    evidence: { refused_forks: count, current: pids.current, limit: pids.limit },
  }
  return { refusals: { eventKey, count, lastAt, reportedCount: count, reportedAt: time }, detection }
}

/** The kernel does not say which program forked: a repeat is the same at the same limit. */
function limitSubject({ limit }: Pick<ResourceSample['pids'], 'limit'>): string {
  return limit === null ? 'no process limit' : `process limit ${limit}`
}

function describeRefusals(name: string, count: number, { current, limit }: ResourceSample['pids']): string {
  const refused = count === 1 ? '1 fork refused' : `${count} forks refused`
  return limit === null
    ? `${name} hit the process limit of a parent cgroup (${current} processes and threads, ${refused})`
    : `${name} hit its process limit (${current} of ${limit}, ${refused})`
}

/** A counter that decreased belongs to a new cgroup, which started at 0. */
function refusedBetween(before: number | null, now: number | null): number {
  if (before === null || now === null) return 0
  return now < before ? now : now - before
}
