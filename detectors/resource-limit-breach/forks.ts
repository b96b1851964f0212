import type { Detection } from '../../agent/model/finding.ts'
import type { ResourceSample } from '../../agent/model/observation.ts'
import type { Moment, Step } from './moment.ts'
import { slide } from './window.ts'

/** A burst is growth by so many processes and threads within a time in milliseconds. */
export type BurstSettings = { processes: number; within: number }

/** What is known of a container's forks. */
export type Forks = {
  sampledAt: number
  /** The kernel's count of refused forks at the last sample; null before there is a baseline. */
  counter: number | null
  refusals: Refusals | null
  window: readonly { time: number; current: number }[]
  burstAt: number
}

/** Refused forks that follow each other are one act, told when it begins and then as it goes on. */
type Refusals = { act: string; count: number; lastAt: number; toldCount: number; toldAt: number }

export const noForks: Forks = {
  sampledAt: -Infinity,
  counter: null,
  refusals: null,
  window: [],
  burstAt: -Infinity,
}

// Refusals or growth after so long a pause are another act.
const pauseMs = 60_000
const tellEveryMs = 10_000

/**
 * Tells that forks were refused, and that processes multiply: what a fork bomb does until it has reached its
 * limit. Both are judged by what the kernel counts: process observations tell of programs that are run, and a
 * fork bomb need not run any.
 */
export function judgeForks(settings: BurstSettings): Step<Forks, Moment, Detection> {
  return (before, moment) => {
    if (moment.kind === 'resources') return judgeSample(before, moment, settings)
    // A replayed start, from before the last sample, says nothing of the cgroup that was sampled.
    if (moment.action !== 'started' || moment.time < before.sampledAt) return [before, []]
    return [{ ...noForks, counter: 0, window: [{ time: moment.time, current: 0 }] }, []]
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

  const { refusals, told } = tellRefusals(before, sample)
  const after: Forks = {
    sampledAt: time,
    counter: pids.refusedForks,
    refusals,
    window,
    burstAt: isBurst ? time : before.burstAt,
  }
  if (told === null || burst === null) return [after, [told, burst].filter((one) => one !== null)]
  // A bomb that got to its limit between two looks is one act.
  return [after, [{ ...told, also: [burst.rule], evidence: { ...burst.evidence, ...told.evidence } }]]
}

/** Growth that no ordinary start shows, or that has eaten up most of a smaller limit. */
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
    summary: `${container.name} grew by ${grown} processes and threads in ${seconds} s, to ${pids.current}`,
    subject: [],
    act: `burst:${container.id}:${time}`,
    evidence: { grown_by: grown, in_seconds: seconds, current: pids.current, limit: pids.limit },
  }
}

function tellRefusals(
  { counter, refusals: before }: Forks,
  sample: ResourceSample,
): { refusals: Refusals | null; told: Detection | null } {
  const { time, container, pids } = sample
  const more = refusedBetween(counter, pids.refusedForks)
  const isOver = before !== null && time - before.lastAt >= pauseMs
  const known = isOver ? null : before
  if (known === null && more === 0) return { refusals: null, told: null }

  const act =
    known?.act ?? `refused:${container.id}:${container.details?.startedAt ?? 0}:${pids.refusedForks}`
  const count = (known?.count ?? 0) + more
  const lastAt = more > 0 || known === null ? time : known.lastAt
  const isDue = known === null || (count > known.toldCount && time - known.toldAt >= tellEveryMs)
  if (!isDue) return { refusals: { ...known, count, lastAt }, told: null }
  const told: Detection = {
    rule: 'pids-limit-hit',
    time: lastAt,
    container,
    summary: `${count === 1 ? 'a fork was' : `${count} forks were`} refused in ${container.name}, which ${has(pids)}`,
    subject: [],
    act,
    ...(known === null ? {} : { completes: true }),
    evidence: { refused_forks: count, current: pids.current, limit: pids.limit },
  }
  return { refusals: { act, count, lastAt, toldCount: count, toldAt: time }, told }
}

function has({ current, limit }: ResourceSample['pids']): string {
  return limit === null
    ? `has ${current} processes and threads and no limit of its own: one above it was reached`
    : `has ${current} processes and threads of at most ${limit}`
}

/** A counter that went back belongs to a new cgroup, which counted from 0. */
function refusedBetween(before: number | null, now: number | null): number {
  if (before === null || now === null) return 0
  return now < before ? now : now - before
}
