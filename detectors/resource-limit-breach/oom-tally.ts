import type { Container } from '../../agent/model/container.ts'
import type { ContainerObservation, ResourceSample } from '../../agent/model/observation.ts'
import type { Moment, Step } from './moment.ts'

/** Processes of a container that the kernel killed for want of memory: one, or several that only the counter told of. */
export type Kill = {
  kind: 'kill'
  time: number
  container: Container
  count: number
  toldBy: 'event' | 'counter'
  /** Names these kills for ever. */
  act: string
  /** What was used and allowed at the last sample before, if there was one. */
  memory: ResourceSample['memory'] | null
}

/** How far the engine's events and the kernel's counter have told of the same kills. */
export type Tally = {
  /** The counter at the last sample; null before there is a baseline. */
  counter: number | null
  sampledAt: number
  memory: ResourceSample['memory'] | null
  /** Kills told by events since the last sample: the next one will count them too. */
  toldByEvent: number
  /** Kills that the counter told first: events up to this time say nothing new. */
  awaited: { events: number; until: number }
}

export const emptyTally: Tally = {
  counter: null,
  sampledAt: 0,
  memory: null,
  toldByEvent: 0,
  awaited: { events: 0, until: 0 },
}

// Events follow their kill within some 10 ms, and within seconds on a host that is out of breath; a sample may come in
// between. An event of another kill that is taken for the one that is awaited is told of by the counter.
const eventLagMs = 10_000

/** Makes one kill of the engine's event and the kernel's count of it, whichever speaks, and whichever speaks first. */
export const tallyKills: Step<Tally, Moment, Kill> = (tally, moment) => {
  if (moment.kind === 'resources') return countSample(tally, moment)
  if (moment.action === 'oom') return countEvent(tally, moment)
  // A replayed start or end, from before the last sample, says nothing of the cgroup that was sampled.
  if (moment.time < tally.sampledAt) return [tally, []]
  if (moment.action === 'died') return [{ ...tally, counter: null, toldByEvent: 0 }, []]
  // A new cgroup counts from 0, so that its first sample already tells of kills.
  if (moment.action === 'started') return [{ ...tally, counter: 0 }, []]
  return [tally, []]
}

function countEvent(tally: Tally, { time, container }: ContainerObservation): ReturnType<typeof tallyKills> {
  const { awaited, toldByEvent, memory } = tally
  if (awaited.events > 0 && time <= awaited.until) {
    return [{ ...tally, awaited: { ...awaited, events: awaited.events - 1 } }, []]
  }
  const act = `oom:${container.id}:${time}`
  const kill: Kill = { kind: 'kill', time, container, count: 1, toldBy: 'event', act, memory }
  return [{ ...tally, toldByEvent: toldByEvent + 1 }, [kill]]
}

function countSample(tally: Tally, sample: ResourceSample): ReturnType<typeof tallyKills> {
  const { time, container, memory } = sample
  const counter = memory.oomKills
  const untold = Math.max(0, killsBetween(tally.counter, counter) - tally.toldByEvent)
  const after: Tally = {
    counter: counter ?? tally.counter,
    sampledAt: time,
    memory,
    toldByEvent: 0,
    awaited: untold > 0 ? { events: untold, until: time + eventLagMs } : tally.awaited,
  }
  if (untold === 0) return [after, []]
  const act = `oom:${container.id}:${container.details?.startedAt ?? 0}:${counter}`
  return [after, [{ kind: 'kill', time, container, count: untold, toldBy: 'counter', act, memory }]]
}

/** A counter that went back belongs to a new cgroup, which counted from 0. */
function killsBetween(before: number | null, now: number | null): number {
  if (before === null || now === null) return 0
  return now < before ? now : now - before
}
