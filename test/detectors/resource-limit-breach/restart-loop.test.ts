import test from 'ava'
import { map } from 'rxjs'
import type { Detection } from '../../../agent/model/finding.ts'
import type { ContainerObservation } from '../../../agent/model/observation.ts'
import {
  type Asked,
  askedOf,
  judgeRestarts,
  noRestarts,
  type Quiet,
  restartLoop,
  restartsAreOver,
} from '../../../detectors/resource-limit-breach/restart-loop.ts'
import { befell } from '../../sources/resources/samples.ts'
import { marbles } from '../../support/marbles.ts'

const settings = { count: 3, within: 300_000 }

function saidOf(...inputs: (ContainerObservation | Asked | Quiet)[]): Detection[] {
  const said: Detection[] = []
  let state = noRestarts
  for (const input of inputs) {
    const [after, detections] = judgeRestarts(settings)(state, input)
    state = after
    said.push(...detections)
  }
  return said
}

/** An end with an exit code and the start after it. */
const restart = (time: number, exitCode?: number) => [
  befell(time - 100, 'died', exitCode === undefined ? {} : { exitCode }),
  befell(time, 'started'),
]

test('the finding says how often, and the exit codes', (t) => {
  const [loop] = saidOf(...restart(1_000, 1), ...restart(2_000, 137), ...restart(4_000))
  t.like(loop, {
    rule: 'restart-loop',
    state: 'firing',
    time: 4_000,
    summary: 'web-1 restarted 3 times within 5 min, the last time after exit code unknown',
    evidence: { restarts: 3, within_seconds: 300, exit_codes: [1, 137, null], restart_count: 0 },
  })
})

test('a loop that goes on is told at most once a minute, and does not end by slowing down', (t) => {
  const restarts = Array.from({ length: 10 }, (_, index) => restart((index + 1) * 30_000, 1)).flat()
  t.is(saidOf(...restarts).length, 4)
  const slower = saidOf(...restarts, ...restart(500_000, 1), ...restart(799_000, 1))
  t.true(slower.every(({ state }) => state === 'firing'))
})

test('an end that was told twice is one restart, and a start without an end none', (t) => {
  const twice = [befell(0, 'died'), befell(1, 'died'), befell(2, 'started'), befell(3, 'started')]
  t.deepEqual(saidOf(...twice, ...restart(1_000)), [])
  t.is(saidOf(...twice, ...restart(1_000), ...restart(2_000)).length, 1)
})

test('quiet after no loop is nothing to tell, and after one its end', (t) => {
  const quiet: Quiet = { action: 'quiet', after: befell(3_000, 'started') }
  t.deepEqual(saidOf(...restart(1_000), quiet), [])
  const [, end] = saidOf(...restart(1_000), ...restart(2_000), ...restart(3_000), quiet)
  t.like(end, { state: 'resolved', time: 303_000, summary: 'web-1 has not restarted for 5 min' })
})

test('a container that is removed restarts no more', (t) => {
  const [, end] = saidOf(...restart(1_000), ...restart(2_000), ...restart(3_000), befell(4_000, 'removed'))
  t.like(end, { state: 'resolved', time: 4_000, summary: 'web-1 was removed' })
})

test('who restarts a container on purpose makes no loop, by stop, by kill, and however long it takes to end', (t) => {
  const asked = (time: number): Asked => ({ action: 'asked', time, container: { id: 'a' } })
  const byStop = (time: number) => [
    asked(time - 60_000),
    befell(time - 100, 'died'),
    asked(time - 90),
    befell(time, 'started'),
  ]
  const byKill = (time: number) => [asked(time - 150), befell(time - 100, 'died'), befell(time, 'started')]
  t.deepEqual(saidOf(...byStop(100_000), ...byStop(101_000), ...byKill(102_000), ...byKill(103_000)), [])
  t.is(saidOf(...byKill(100_000), ...restart(110_000), ...restart(111_000), ...restart(112_000)).length, 1)
})

test('stop and kill are what the engine is asked by', (t) => {
  const event = (action: string, type = 'container') =>
    askedOf({
      kind: 'docker-event',
      time: 5,
      timeNano: 5n,
      type,
      action,
      detail: '',
      actorId: 'a',
      attributes: {},
    })
  t.deepEqual(event('stop'), { action: 'asked', time: 5, container: { id: 'a' } })
  t.deepEqual(event('kill')?.action, 'asked')
  t.is(event('die'), null)
  t.is(event('stop', 'plugin'), null)
})

test('nothing is waited for when a container is gone', (t) => {
  marbles(t, ({ cold, expectObservable }) => {
    const life$ = cold<ContainerObservation | Asked>('s 9s (r|)', {
      s: befell(0, 'started'),
      r: befell(1, 'removed'),
    })
    expectObservable(restartLoop(settings)(life$)).toBe('9001ms |')
  })
})

test('a container is over when it is removed, or when nothing follows a stop', (t) => {
  marbles(t, ({ cold, expectObservable }) => {
    const asked: Asked = { action: 'asked', time: 0, container: { id: 'a' } }
    const life = (diagram: string) =>
      cold<ContainerObservation | Asked>(diagram, { a: asked, d: befell(1, 'died'), r: befell(1, 'removed') })
    expectObservable(restartsAreOver(life('a 9ms d 989ms r')).pipe(map(() => 'over'))).toBe('1s x', {
      x: 'over',
    })
    expectObservable(restartsAreOver(life('a')).pipe(map(() => 'over'))).toBe('600s x', { x: 'over' })
  })
})
