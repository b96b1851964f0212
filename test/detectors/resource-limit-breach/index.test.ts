import test, { type ExecutionContext } from 'ava'
import { asyncScheduler, filter, map, share } from 'rxjs'
import type { Detection } from '../../../agent/model/finding.ts'
import type { ContainerAction, ExecEnded, FirstProcess, OomVictim } from '../../../agent/model/observation.ts'
import { resourceLimitBreach } from '../../../detectors/resource-limit-breach/index.ts'
import type { ContainerEvent } from '../../../detectors/resource-limit-breach/container-event.ts'
import {
  type LifecycleGiven,
  lifecycle,
  container,
  type Given,
  oomVictim,
  sample,
} from '../../sources/resources/samples.ts'
import { dockerEvent } from '../../support/docker-event.ts'
import { marbles } from '../../support/marbles.ts'
import { observing } from '../../support/observed.ts'
import { sampleExec } from '../../support/samples.ts'

const settings = resourceLimitBreach.settings.parse({})
const atOnce = { resolve_hold: '0s' }
/** A condition resolves with the first sample that no longer meets it. */
const withoutResolveHold = resourceLimitBreach.settings.parse({
  ...{ memory: atOnce, memory_pressure: atOnce, cpu: atOnce, pids: atOnce },
})

type Seen = ContainerEvent | OomVictim

/** An observation at the time of its marble. */
type Timed = (time: number) => Seen

/**
 * Plays observations into the detector, at the time of their marble, or at their own time if they have one. Expects
 * `rule` for each event and `rule state` for each condition.
 */
function plays(
  t: ExecutionContext,
  observations: Record<string, Seen | Timed>,
  diagram: string,
  expected: string,
  detections: Record<string, string> = {},
): void {
  marbles(t, ({ hot, expectObservable }) => {
    const seen$ = hot(diagram, observations).pipe(
      map((seen) => (typeof seen === 'function' ? seen(asyncScheduler.now()) : seen)),
      share(),
    )
    const observed = observing({
      resources: seen$.pipe(filter((seen) => seen.kind === 'resources')),
      container: seen$.pipe(filter((seen) => seen.kind === 'container')),
      'oom-victim': seen$.pipe(filter((seen) => seen.kind === 'oom-victim')),
    })
    const detected$ = resourceLimitBreach.detect(observed, withoutResolveHold)
    const lines$ = detected$.pipe(map(lineOf))
    expectObservable(lines$).toBe(expected, detections)
  })
}

function lineOf({ rule, state, isUpdate, also = [] }: Detection): string {
  const more = [state ?? '', isUpdate ? 'update' : '', ...also.map((name) => `also ${name}`)]
  return [rule, ...more.filter((word) => word !== '')].join(' ')
}

const using =
  (given: Given = {}): Timed =>
  (time) =>
    sample(time, given)

const happens =
  (action: ContainerAction, given: LifecycleGiven = {}): Timed =>
  (time) =>
    lifecycle(time, action, given)

const usingMemory = (percent: number, given: Given = {}) =>
  using({ ...given, memory: { workingSetBytes: percent * 10, ...given.memory } })

const nearMemory = { f: 'memory-near-limit firing', r: 'memory-near-limit resolved' }

test('a container above 90 % of its memory limit for 30 s is near it, until it falls below 80 %', (t) => {
  const observations = {
    a: usingMemory(95),
    b: usingMemory(91),
    c: usingMemory(90),
    d: usingMemory(80),
    e: usingMemory(79),
  }
  plays(t, observations, 'a 28999ms b 999ms c 999ms d 999ms e', '30s f 1999ms r', nearMemory)
})

test('falling below 90 % within the 30 s restarts the wait', (t) => {
  const observations = {
    a: usingMemory(95),
    b: usingMemory(89),
    c: usingMemory(95),
    d: usingMemory(95),
    e: usingMemory(95),
  }
  plays(t, observations, 'a 19999ms b 4999ms c 29998ms de', '55s f', nearMemory)
})

test('a firing condition resolves when the container stops, and the next start begins without it', (t) => {
  const observations = {
    a: usingMemory(95),
    b: usingMemory(95),
    c: happens('died', { exitCode: 0 }),
    d: usingMemory(95),
    e: usingMemory(95),
  }
  plays(t, observations, 'a 29999ms b 999ms c 999ms d 29998ms e', '30s f 999ms r', nearMemory)
})

test('a container that is found stopped resolves its conditions too', (t) => {
  const stopped = container({ state: 'exited' })
  const observations = {
    a: usingMemory(95),
    b: usingMemory(95),
    c: happens('seen', { container: stopped }),
  }
  plays(t, observations, 'a 29999ms b 999ms c', '30s f 999ms r', nearMemory)
})

test('containers are judged separately', (t) => {
  const other = container({ id: 'f'.repeat(64), name: 'db-1' })
  const observations = {
    a: usingMemory(95),
    b: usingMemory(10, { container: other }),
    c: usingMemory(95),
    d: happens('died', { container: other, exitCode: 0 }),
  }
  plays(t, observations, '(ab) 29996ms c 999ms d', '30s f', nearMemory)
})

test('a container that stays near its limit is reported again once a minute, if the summary changed', (t) => {
  const observations = {
    a: usingMemory(95),
    b: usingMemory(95),
    c: usingMemory(96),
    d: usingMemory(95),
    e: usingMemory(96),
  }
  plays(t, observations, 'a 29999ms b 29999ms c 29999ms de', '30s f 60s f', nearMemory)
})

test('a process count near its limit for 30 s is reported, and its end', (t) => {
  const observations = {
    a: using({ pids: { current: 90 } }),
    b: using({ pids: { current: 100 } }),
    c: using({ pids: { current: 79 } }),
  }
  plays(t, observations, 'a 29999ms b 999ms c', '30s f 999ms r', {
    f: 'pids-near-limit firing',
    r: 'pids-near-limit resolved',
  })
})

/** The detections of a container that uses these shares of its memory, in percent, once a second from the start. */
function memoryDetections(t: ExecutionContext, percents: readonly (number | null)[]): string[] {
  const lines: string[] = []
  marbles(t, ({ cold, flush }) => {
    const samples$ = cold(percents.map((percent) => (percent === null ? '-' : 'a') + ' 999ms').join(' '), {
      a: 0,
    })
    const resources$ = samples$.pipe(
      map(() => asyncScheduler.now()),
      map((time) => sample(time, { memory: { workingSetBytes: (percents[time / 1_000] ?? 0) * 10 } })),
    )
    resourceLimitBreach
      .detect(observing({ resources: resources$ }), settings)
      .subscribe(({ rule, state, summary, time }) => {
        lines.push(`${time / 1_000} s: ${rule} ${state} (${summary})`)
      })
    flush()
  })
  return lines
}

const seconds = (count: number, percent: number | null) => Array.from({ length: count }, () => percent)

test('memory near its limit for 45 s of every 65 s is one finding, until it has been low for 5 minutes', (t) => {
  const cycles = Array.from({ length: 10 }, () => [...seconds(45, 92), ...seconds(20, 10)]).flat()
  const lines = memoryDetections(t, [...cycles, ...seconds(300, 61)])
  t.deepEqual(lines, [
    '30 s: memory-near-limit firing (web-1: memory at 92 % of its limit (920 B of 1000 B))',
    '930 s: memory-near-limit resolved (memory below 80 % of the limit for 5 min (now 61 %))',
  ])
})

test('a gap without samples does not count as below the limit', (t) => {
  const before = [...seconds(31, 92), ...seconds(200, 10)]
  const resolved = (percents: readonly (number | null)[]) => memoryDetections(t, percents).length === 2
  t.true(resolved([...before, ...seconds(101, 10)]))
  t.false(resolved([...before, ...seconds(200, null), ...seconds(101, 10)]))
  t.true(resolved([...before, ...seconds(200, null), ...seconds(301, 10)]))
})

const throttled = (periods: number, throttledPeriods: number) =>
  using({ cpu: { periods, throttledPeriods, throttledSeconds: throttledPeriods / 10 } })

test('a container throttled in over a quarter of its periods for 5 minutes is reported', (t) => {
  const observations = {
    a: throttled(0, 0),
    b: throttled(2_990, 1_000),
    c: throttled(3_000, 1_000),
    d: throttled(6_000, 1_100),
  }
  plays(t, observations, 'a 298999ms b 999ms c 299999ms d', '300s f 299999ms r', {
    f: 'cpu-throttled firing',
    r: 'cpu-throttled resolved',
  })
})

const refusing = (refusedForks: number, current = 50) => using({ pids: { refusedForks, current } })

test('continuing refused forks are one event, updated every 10 s', (t) => {
  const observations = {
    a: refusing(7),
    b: refusing(8),
    c: refusing(20),
    d: refusing(30),
    e: refusing(30),
    f: refusing(31),
  }
  plays(t, observations, 'a 999ms b 4999ms c 4999ms d 999ms e 67999ms f', '1s h 9999ms c 68999ms h', {
    h: 'pids-limit-hit',
    c: 'pids-limit-hit update',
  })
})

test('forks refused before the daemon started are not reported; those of a container that was seen to start are', (t) => {
  plays(t, { a: refusing(7), b: refusing(7) }, 'a 4999ms b', '')
  plays(t, { a: happens('started'), b: refusing(1) }, 'a 999ms b', '1s h', { h: 'pids-limit-hit' })
})

const growing = (current: number, limit: number | null = null) => using({ pids: { current, limit } })

test('a container without a limit that grows by 500 processes within 10 s is one burst', (t) => {
  const observations = {
    a: using({ pids: { current: 4 } }),
    b: growing(503),
    c: growing(504),
    d: growing(5_000),
  }
  const detections = { n: 'no-limits firing', p: 'process-burst' }
  plays(t, observations, 'a 4999ms b 999ms c 999ms d', '5s n 999ms p', detections)
})

test('a fork bomb that reaches its limit by the next sample is one finding', (t) => {
  const observations = {
    a: growing(1, 50),
    b: using({ pids: { current: 50, limit: 50, refusedForks: 9 } }),
  }
  plays(t, observations, 'a 999ms b', '1s h', { h: 'pids-limit-hit also process-burst' })
})

const stalled = (someSeconds: number) => using({ pressure: { memory: { someSeconds, fullSeconds: 0 } } })

test('a container whose processes wait for memory more than 20 % of the time for 30 s is under pressure', (t) => {
  const observations = {
    a: stalled(100),
    b: stalled(102),
    c: stalled(106),
    d: stalled(114),
    e: stalled(114),
    f: stalled(114.9),
  }
  const detections = { f: 'memory-pressure firing', r: 'memory-pressure resolved' }
  plays(t, observations, 'a 4999ms b 9999ms c 19998ms de 9999ms f', '35s f 9999ms r', detections)
})

const died = (exitCode = 1) => happens('died', { exitCode })
const loop = { l: 'restart-loop firing', r: 'restart-loop resolved' }

const restarting = {
  a: died(),
  b: happens('started'),
  c: died(),
  d: happens('started'),
  e: died(),
  f: happens('started'),
}
const restarts = 'a 99ms b 899ms c 199ms d 799ms e 399ms f'

test('three restarts within 5 minutes are a loop, which ends after 5 minutes without a restart', (t) => {
  plays(t, restarting, restarts, '2400ms l 299999ms r', loop)
})

test('a container that stays dead ends its loop too, and a removed one at once', (t) => {
  const observations = { ...restarting, g: died(), x: happens('removed') }
  plays(t, observations, `${restarts} 599ms g`, '2400ms l 299999ms r', loop)
  plays(t, observations, `${restarts} 599ms g 999ms x`, '2400ms l 1599ms r', loop)
})

test('restarts further apart are not a loop, nor is a first start', (t) => {
  const observations = {
    a: happens('started'),
    b: died(),
    c: happens('started'),
    d: died(),
    e: happens('started'),
    f: died(),
    g: happens('started'),
  }
  plays(t, observations, 'a 999ms b 99ms c 297899ms d 99ms e 1899ms f 100ms g', '')
})

test('an exec that was killed while the kill was undecided is named', (t) => {
  marbles(t, ({ hot, expectObservable }) => {
    const exec = sampleExec({ container: container(), argv: ['tail', '/dev/zero'] })
    const { execId } = exec
    const running = { memory: { oomKills: 1 }, firstProcess: 'running' } as const
    const resources$ = hot('a---bc', { a: sample(0), b: sample(6_000, running), c: sample(7_000, running) })
    const execs$ = hot('x', { x: exec })
    const containers$ = hot('-o', { o: lifecycle(1_000, 'oom') })
    const end: ExecEnded = { kind: 'exec-ended', time: 5_000, container: container(), execId, exitCode: 137 }
    const execEnds$ = hot('--e', { e: end })
    const observed = observing({
      resources: resources$,
      container: containers$,
      exec: execs$,
      'exec-ended': execEnds$,
    })
    const detected$ = resourceLimitBreach.detect(observed, settings)
    const named$ = detected$.pipe(map(({ rule, evidence }) => [rule, evidence['killed_execs']]))
    expectObservable(named$).toBe('-----k', { k: ['oom-kill', ['tail /dev/zero']] })
  })
})

test('missing limits are one condition, resolved when the last limit is set', (t) => {
  const observations = {
    a: using({ memory: { limitBytes: null }, pids: { limit: null } }),
    b: using({ pids: { limit: null } }),
    c: using(),
  }
  plays(t, observations, 'a 4999ms b 4999ms c', 'f 9999ms r', {
    f: 'no-limits firing',
    r: 'no-limits resolved',
  })
})

test('the missing-limits condition ends with the container', (t) => {
  const observations = { a: using({ cpu: { quotaCores: null } }), b: happens('removed') }
  plays(t, observations, 'a 999ms b', 'f 999ms r', { f: 'no-limits firing', r: 'no-limits resolved' })
})

const counting = (oomKills: number | null, firstProcess?: FirstProcess) =>
  using({ memory: { oomKills }, ...(firstProcess && { firstProcess }) })
const kill = { k: 'oom-kill' }
const death = { k: 'container-oom-killed' }

const named =
  (given: Partial<OomVictim> = {}): Timed =>
  (time) =>
    oomVictim(time, given)

test('a victim that is not the first process is reported at once', (t) => {
  plays(t, { a: happens('started'), v: named(), e: happens('oom') }, 'a 999ms v 60s e', '1s k', kill)
})

test('a child that is killed before the engine reports the container’s start is one finding', (t) => {
  const observations = {
    n: happens('created'),
    v: named(),
    a: happens('started'),
    b: counting(1, 'running'),
    d: happens('died', { exitCode: 137 }),
  }
  plays(t, observations, 'n 999ms v 999ms a 999ms b 4999ms b 999ms d', '1s k', kill)
})

test('the first process as a victim is reported with its death, even a minute later', (t) => {
  const observations = {
    a: happens('started'),
    v: named({ isInit: true }),
    d: happens('died', { exitCode: 137 }),
    e: happens('oom'),
  }
  plays(t, observations, 'a 999ms v 59999ms d 29999ms e', '61s k', death)
})

test('an engine event is a survived kill once two samples show the kill and the first process running', (t) => {
  const observations = {
    a: counting(0),
    e: happens('oom'),
    b: counting(1, 'running'),
    c: counting(1, 'running'),
  }
  plays(t, observations, 'a 999ms e 3999ms b 4999ms c', '10s k', kill)
})

test('a first process that takes a minute to exit is not taken for alive', (t) => {
  const observations = {
    a: counting(0),
    e: happens('oom'),
    b: counting(1, 'ending'),
    d: happens('died', { exitCode: 137 }),
  }
  plays(t, observations, 'a 999ms e 3999ms b 4999ms b 54999ms d', '65s k', death)
})

test('an undecided kill is reported after two minutes', (t) => {
  plays(t, { a: happens('oom') }, 'a', '120s k', kill)
  plays(t, { a: happens('oom'), b: counting(null) }, 'a 4999ms b 4999ms b', '120s k', kill)
})

test('an event two minutes after the death is still matched with it', (t) => {
  const observations = { a: happens('died', { exitCode: 137 }), b: happens('oom') }
  plays(t, observations, 'a 119999ms b', '120s k', death)
})

test('docker kill is not an OOM kill, whatever was killed before', (t) => {
  const request = dockerEvent('kill', { actorId: container().id, time: 1_000, attributes: { signal: '9' } })
  marbles(t, ({ hot, expectObservable }) => {
    const dockerEvents$ = hot('-a', { a: request })
    const containers$ = hot('o-d', {
      o: lifecycle(500, 'oom'),
      d: lifecycle(1_100, 'died', { exitCode: 137, oomKilled: true }),
    })
    const detected$ = resourceLimitBreach.detect(
      observing({ container: containers$, 'docker-event': dockerEvents$ }),
      settings,
    )
    expectObservable(detected$.pipe(map(lineOf))).toBe('--k', kill)
  })
})

test('a container killed and restarted at once is one finding per kill', (t) => {
  const observations = {
    a: happens('oom'),
    b: happens('died', { exitCode: 137 }),
    c: happens('started'),
    d: happens('oom'),
    e: happens('died', { exitCode: 137 }),
  }
  plays(t, observations, 'a 9ms b 189ms c 299ms d 9ms e', '10ms k 499ms k', death)
})

test('unsubscribing releases every subscription, for running and for just stopped containers', (t) => {
  marbles(t, ({ hot, expectObservable, expectSubscriptions }) => {
    const other = container({ id: 'f'.repeat(64) })
    const resources$ = hot('a-b', { a: sample(0), b: sample(0, { container: other }) })
    const containers$ = hot('---c', { c: lifecycle(1_000, 'died', { exitCode: 0 }) })
    const detected$ = resourceLimitBreach.detect(
      observing({ resources: resources$, container: containers$ }),
      settings,
    )
    expectObservable(detected$, '^---!').toBe('----')
    expectSubscriptions(resources$.subscriptions).toBe(['^---!', '^---!'])
    expectSubscriptions(containers$.subscriptions).toBe(['^---!', '^---!', '^---!'])
  })
})

test('settings are rejected if a condition would resolve above its firing ratio', (t) => {
  const { success, error } = resourceLimitBreach.settings.safeParse({ memory: { ratio: 0.5 } })
  t.false(success)
  t.deepEqual(error?.issues[0]?.path, ['memory', 'resolve_ratio'])
  t.like(settings, { memory: { ratio: 0.9, resolve_ratio: 0.8, hold: 30_000 }, cpu: { hold: 300_000 } })
})

test('a container without details is judged too', (t) => {
  const bare = container({ details: null })
  const observations = { a: named({ container: bare }), b: usingMemory(95, { container: bare }) }
  plays(t, observations, 'ab', 'k', kill)
})
