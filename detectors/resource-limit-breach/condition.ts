import type { Observable } from 'rxjs'
import type { Detection, Json } from '../../agent/model/finding.ts'
import type { ResourceSample } from '../../agent/model/observation.ts'
import type { ResolveWait } from './resolve-wait.ts'
import { type ContainerEvent, type ContainerEvents, isEnd, scanSteps } from './container-event.ts'

/** A rule about a container and its limits, judged sample by sample. */
export type Condition<State extends Judged> = {
  rule: string
  start: State
  judge: (before: State, sample: ResourceSample) => State
  describe: (sample: ResourceSample, before: ResourceSample | null, state: State) => Description
  /** Why the condition ended with this sample. */
  resolution: (sample: ResourceSample, state: State) => string
}

/** `wait` is the wait for the end of a firing condition. */
export type Judged = { firing: boolean; wait?: ResolveWait }

export type Description = { summary: string; evidence: { readonly [key: string]: Json } }

/**
 * Reports when a condition starts and ends, and, while it is firing, updates at most once a minute. Not while it waits
 * for its end: the finding keeps saying what was found.
 */
export function monitorCondition<State extends Judged>(
  condition: Condition<State>,
): (events$: ContainerEvents) => Observable<Detection> {
  const start: Monitored<State> = { state: condition.start, sample: null, reported: nothingReported }
  return scanSteps(start, (before: Monitored<State>, event: ContainerEvent) =>
    event.kind === 'resources' ? onSample(condition, before, event) : onLifecycle(condition, before, event),
  )
}

type Monitored<State> = {
  state: State
  sample: ResourceSample | null
  reported: { summary: string; time: number }
}
type Result<State> = readonly [Monitored<State>, readonly Detection[]]

const nothingReported = { summary: '', time: 0 }
const updateEveryMs = 60_000

function onSample<State extends Judged>(
  { rule, judge, describe, resolution }: Condition<State>,
  before: Monitored<State>,
  sample: ResourceSample,
): Result<State> {
  const { container, time } = sample
  const state = judge(before.state, sample)
  const isChange = state.firing !== before.state.firing
  const isDue = state.firing && !state.wait && time - before.reported.time >= updateEveryMs
  if (!isChange && !isDue) return [{ ...before, state, sample }, []]

  const { summary: found, evidence } = describe(sample, before.sample, state)
  const summary = state.firing ? found : resolution(sample, state)
  if (!isChange && summary === before.reported.summary) return [{ ...before, state, sample }, []]
  const detection: Detection = {
    rule,
    state: state.firing ? 'firing' : 'resolved',
    time,
    container,
    summary,
    subject: [],
    evidence,
  }
  return [{ state, sample, reported: { summary, time } }, [detection]]
}

function onLifecycle<State extends Judged>(
  { rule, start }: Condition<State>,
  before: Monitored<State>,
  event: ContainerEvent,
): Result<State> {
  if (!isEnd(event)) return [before, []]
  const { container, time } = event
  const detection: Detection = {
    rule,
    state: 'resolved',
    time,
    container,
    summary: 'the container stopped',
    subject: [],
    evidence: {},
  }
  return [{ state: start, sample: null, reported: nothingReported }, before.state.firing ? [detection] : []]
}
