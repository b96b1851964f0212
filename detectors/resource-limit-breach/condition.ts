import type { Observable } from 'rxjs'
import type { Detection, Json } from '../../agent/model/finding.ts'
import type { ResourceSample } from '../../agent/model/observation.ts'
import { isEnd, type Life, type Moment, walk } from './moment.ts'

/** One rule about how a container stands to its limits, judged sample by sample. */
export type Condition<State extends { firing: boolean }> = {
  rule: string
  start: State
  judge: (before: State, sample: ResourceSample) => State
  /** The same words serve while it is firing and when it is resolved. */
  describe: (sample: ResourceSample, before: ResourceSample | null, state: State) => Description
}

export type Description = { summary: string; evidence: { readonly [key: string]: Json } }

/** Says when a condition begins and ends, and at most once a minute what it has come to. */
export function watch<State extends { firing: boolean }>(
  condition: Condition<State>,
): (life$: Life) => Observable<Detection> {
  const start: Watched<State> = { state: condition.start, sample: null, told: nothingTold }
  return walk(start, (before: Watched<State>, moment: Moment) =>
    moment.kind === 'resources' ? judged(condition, before, moment) : ended(condition, before, moment),
  )
}

type Watched<State> = { state: State; sample: ResourceSample | null; told: { summary: string; time: number } }
type Watching<State> = readonly [Watched<State>, readonly Detection[]]

const nothingTold = { summary: '', time: 0 }
const updateEveryMs = 60_000

function judged<State extends { firing: boolean }>(
  { rule, judge, describe }: Condition<State>,
  before: Watched<State>,
  sample: ResourceSample,
): Watching<State> {
  const { container, time } = sample
  const state = judge(before.state, sample)
  const isTurn = state.firing !== before.state.firing
  const isDue = state.firing && time - before.told.time >= updateEveryMs
  if (!isTurn && !isDue) return [{ ...before, state, sample }, []]

  const { summary, evidence } = describe(sample, before.sample, state)
  if (!isTurn && summary === before.told.summary) return [{ ...before, state, sample }, []]
  const detection: Detection = {
    rule,
    state: state.firing ? 'firing' : 'resolved',
    time,
    container,
    summary,
    subject: [],
    evidence,
  }
  return [{ state, sample, told: { summary, time } }, [detection]]
}

function ended<State extends { firing: boolean }>(
  { rule, start }: Condition<State>,
  before: Watched<State>,
  moment: Moment,
): Watching<State> {
  if (!isEnd(moment)) return [before, []]
  const { container, time } = moment
  const summary = `${container.name} ended`
  const detection: Detection = {
    rule,
    state: 'resolved',
    time,
    container,
    summary,
    subject: [],
    evidence: {},
  }
  return [{ state: start, sample: null, told: nothingTold }, before.state.firing ? [detection] : []]
}
