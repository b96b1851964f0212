import test from 'ava'
import { map } from 'rxjs'
import type { Detection } from '../../../agent/model/finding.ts'
import type { ContainerObservation } from '../../../agent/model/observation.ts'
import {
  judgeRestarts,
  noRestarts,
  type Quiet,
  restartLoop,
  restartsAreOver,
  type StopRequest,
  stopRequestOf,
} from '../../../detectors/resource-limit-breach/restart-loop.ts'
import { lifecycle } from '../../sources/resources/samples.ts'
import { marbles } from '../../support/marbles.ts'

const settings = { count: 3, within: 300_000 }

function detectionsOf(...inputs: (ContainerObservation | StopRequest | Quiet)[]): Detection[] {
  const all: Detection[] = []
  let state = noRestarts
  for (const input of inputs) {
    const [after, detections] = judgeRestarts(settings)(state, input)
    state = after
    all.push(...detections)
  }
  return all
}

/** A death with an exit code, and the start after it. */
const restart = (time: number, exitCode?: number) => [
  lifecycle(time - 100, 'died', exitCode === undefined ? {} : { exitCode }),
  lifecycle(time, 'started'),
]

test('the finding gives the number of restarts and the exit codes', (t) => {
  const [loop] = detectionsOf(...restart(1_000, 1), ...restart(2_000, 137), ...restart(4_000))
  t.like(loop, {
    rule: 'restart-loop',
    state: 'firing',
    time: 4_000,
    summary: 'web-1: restarted 3 times within 5 min (last exit code unknown)',
    evidence: { restarts: 3, within_seconds: 300, exit_codes: [1, 137, null], restart_count: 0 },
  })
})

test('a continuing loop is reported at most once a minute, and slower restarts do not end it', (t) => {
  const restarts = Array.from({ length: 10 }, (_, index) => restart((index + 1) * 30_000, 1)).flat()
  t.is(detectionsOf(...restarts).length, 4)
  const slower = detectionsOf(...restarts, ...restart(500_000, 1), ...restart(799_000, 1))
  t.true(slower.every(({ state }) => state === 'firing'))
})

test('a death reported twice is one restart, and a start without a death is none', (t) => {
  const twice = [lifecycle(0, 'died'), lifecycle(1, 'died'), lifecycle(2, 'started'), lifecycle(3, 'started')]
  t.deepEqual(detectionsOf(...twice, ...restart(1_000)), [])
  t.is(detectionsOf(...twice, ...restart(1_000), ...restart(2_000)).length, 1)
})

test('a quiet period is reported only if it ends a loop', (t) => {
  const quiet: Quiet = { action: 'quiet', after: lifecycle(3_000, 'started') }
  t.deepEqual(detectionsOf(...restart(1_000), quiet), [])
  const [, end] = detectionsOf(...restart(1_000), ...restart(2_000), ...restart(3_000), quiet)
  t.like(end, { state: 'resolved', time: 303_000, summary: 'no restart for 5 min' })
})

test('removing the container ends its loop', (t) => {
  const [, end] = detectionsOf(
    ...restart(1_000),
    ...restart(2_000),
    ...restart(3_000),
    lifecycle(4_000, 'removed'),
  )
  t.like(end, { state: 'resolved', time: 4_000, summary: 'the container was removed' })
})

test('deliberate restarts are not a loop, by stop or by kill, however long the container takes to stop', (t) => {
  const request = (time: number): StopRequest => ({ action: 'stop-request', time, container: { id: 'a' } })
  const byStop = (time: number) => [
    request(time - 60_000),
    lifecycle(time - 100, 'died'),
    request(time - 90),
    lifecycle(time, 'started'),
  ]
  const byKill = (time: number) => [
    request(time - 150),
    lifecycle(time - 100, 'died'),
    lifecycle(time, 'started'),
  ]
  t.deepEqual(
    detectionsOf(...byStop(100_000), ...byStop(101_000), ...byKill(102_000), ...byKill(103_000)),
    [],
  )
  t.is(
    detectionsOf(...byKill(100_000), ...restart(110_000), ...restart(111_000), ...restart(112_000)).length,
    1,
  )
})

test('stop and kill events are stop requests', (t) => {
  const event = (action: string, type = 'container') =>
    stopRequestOf({
      kind: 'docker-event',
      time: 5,
      timeNano: 5n,
      type,
      action,
      detail: '',
      actorId: 'a',
      attributes: {},
    })
  t.deepEqual(event('stop'), { action: 'stop-request', time: 5, container: { id: 'a' } })
  t.deepEqual(event('kill')?.action, 'stop-request')
  t.is(event('die'), null)
  t.is(event('stop', 'plugin'), null)
})

test('no timer outlives a removed container', (t) => {
  marbles(t, ({ cold, expectObservable }) => {
    const events$ = cold<ContainerObservation | StopRequest>('s 9s (r|)', {
      s: lifecycle(0, 'started'),
      r: lifecycle(1, 'removed'),
    })
    expectObservable(restartLoop(settings)(events$)).toBe('9001ms |')
  })
})

test('the state of a container ends when it is removed, or when nothing follows a stop', (t) => {
  marbles(t, ({ cold, expectObservable }) => {
    const request: StopRequest = { action: 'stop-request', time: 0, container: { id: 'a' } }
    const eventsOf = (diagram: string) =>
      cold<ContainerObservation | StopRequest>(diagram, {
        a: request,
        d: lifecycle(1, 'died'),
        r: lifecycle(1, 'removed'),
      })
    expectObservable(restartsAreOver(eventsOf('a 9ms d 989ms r')).pipe(map(() => 'end'))).toBe('1s x', {
      x: 'end',
    })
    expectObservable(restartsAreOver(eventsOf('a')).pipe(map(() => 'end'))).toBe('600s x', { x: 'end' })
  })
})
