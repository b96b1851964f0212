import test, { type ExecutionContext } from 'ava'
import { filter, map } from 'rxjs'
import type { Detection } from '../../agent/model/finding.ts'
import type { ExecEnded, ProcessKilled } from '../../agent/model/observation.ts'
import { resourceLimitBreach } from '../../detectors/resource-limit-breach.ts'
import type { Moment } from '../../detectors/resource-limit-breach/moment.ts'
import { befell, container, type Given, sample } from '../resources/samples.ts'
import { marbles } from '../support/marbles.ts'
import { silent } from '../support/observed.ts'
import { sampleExec } from '../support/samples.ts'

const settings = resourceLimitBreach.settings.parse({})

/** Plays moments into the detector; what it says is `rule` for an event and `rule state` for a condition. */
function plays(
  t: ExecutionContext,
  moments: Record<string, Moment | ProcessKilled>,
  seen: string,
  said: string,
  sayings: Record<string, string> = {},
): void {
  marbles(t, ({ hot, expectObservable }) => {
    const moments$ = hot(seen, moments)
    const observed = {
      ...silent,
      resources$: moments$.pipe(filter((moment) => moment.kind === 'resources')),
      containers$: moments$.pipe(filter((moment) => moment.kind === 'container')),
      processKills$: moments$.pipe(filter((moment) => moment.kind === 'process-killed')),
    }
    const detected$ = resourceLimitBreach.detect(observed, settings)
    const words$ = detected$.pipe(map(inWords))
    expectObservable(words$).toBe(said, sayings)
  })
}

function inWords({ rule, state, completes, also = [] }: Detection): string {
  const more = [state ?? '', completes ? 'completes' : '', ...also.map((name) => `also ${name}`)]
  return [rule, ...more.filter((word) => word !== '')].join(' ')
}

const usingMemory = (time: number, percent: number, given: Given = {}) =>
  sample(time, { ...given, memory: { workingSetBytes: percent * 10, ...given.memory } })

test('a container over 90 % of its memory limit for 30 s is near it, and under 80 % no more', (t) => {
  const moments = {
    a: usingMemory(0, 95),
    b: usingMemory(29_000, 91),
    c: usingMemory(30_000, 90),
    d: usingMemory(31_000, 80),
    e: usingMemory(32_000, 79),
  }
  const sayings = { f: 'memory-near-limit firing', r: 'memory-near-limit resolved' }
  plays(t, moments, 'abcde', '--f-r', sayings)
})

test('falling under 90 % before 30 s are over starts the wait anew', (t) => {
  const moments = {
    a: usingMemory(0, 95),
    b: usingMemory(20_000, 89),
    c: usingMemory(25_000, 95),
    d: usingMemory(54_999, 95),
    e: usingMemory(55_000, 95),
  }
  plays(t, moments, 'abcde', '----f', { f: 'memory-near-limit firing' })
})

test('what is firing when the container ends is resolved, and forgotten for its next start', (t) => {
  const moments = {
    a: usingMemory(0, 95),
    b: usingMemory(30_000, 95),
    c: befell(31_000, 'died', { exitCode: 0 }),
    d: usingMemory(32_000, 95),
    e: usingMemory(61_999, 95),
  }
  plays(t, moments, 'abcde', '-fr--', { f: 'memory-near-limit firing', r: 'memory-near-limit resolved' })
})

test('a container that is found stopped has ended too', (t) => {
  const stopped = container({ state: 'exited' })
  const moments = {
    a: usingMemory(0, 95),
    b: usingMemory(30_000, 95),
    c: befell(31_000, 'seen', { container: stopped }),
  }
  plays(t, moments, 'abc', '-fr', { f: 'memory-near-limit firing', r: 'memory-near-limit resolved' })
})

test('containers are judged apart', (t) => {
  const other = container({ id: 'f'.repeat(64), name: 'db-1' })
  const moments = {
    a: usingMemory(0, 95),
    b: usingMemory(0, 10, { container: other }),
    c: usingMemory(30_000, 95),
    d: befell(31_000, 'died', { container: other, exitCode: 0 }),
  }
  plays(t, moments, 'abcd', '--f-', { f: 'memory-near-limit firing' })
})

test('a container that stays near its limit is told anew once a minute, if there is something new', (t) => {
  const moments = {
    a: usingMemory(0, 95),
    b: usingMemory(30_000, 95),
    c: usingMemory(60_000, 96),
    d: usingMemory(90_000, 95),
    e: usingMemory(90_001, 96),
  }
  plays(t, moments, 'abcde', '-f--f', { f: 'memory-near-limit firing' })
})

test('processes near their limit for 30 s are said, and their end', (t) => {
  const moments = {
    a: sample(0, { pids: { current: 90 } }),
    b: sample(30_000, { pids: { current: 100 } }),
    c: sample(31_000, { pids: { current: 79 } }),
  }
  plays(t, moments, 'abc', '-fr', { f: 'pids-near-limit firing', r: 'pids-near-limit resolved' })
})

const throttled = (time: number, periods: number, throttledPeriods: number) =>
  sample(time, { cpu: { periods, throttledPeriods, throttledSeconds: throttledPeriods / 10 } })

test('a container throttled in over a quarter of its periods for 5 minutes is said', (t) => {
  const moments = {
    a: throttled(0, 0, 0),
    b: throttled(299_000, 2_990, 1_000),
    c: throttled(300_000, 3_000, 1_000),
    d: throttled(600_000, 6_000, 1_100),
  }
  plays(t, moments, 'abcd', '--fr', { f: 'cpu-throttled firing', r: 'cpu-throttled resolved' })
})

const refusing = (time: number, refusedForks: number, current = 50) =>
  sample(time, { pids: { refusedForks, current } })

test('refused forks are one act as long as they go on, completed every 10 s', (t) => {
  const moments = {
    a: refusing(0, 7),
    b: refusing(1_000, 8),
    c: refusing(6_000, 20),
    d: refusing(11_000, 30),
    e: refusing(12_000, 30),
    f: refusing(80_000, 31),
  }
  plays(t, moments, 'abcdef', '-h-c-h', { h: 'pids-limit-hit', c: 'pids-limit-hit completes' })
})

test('a fork refused before the daemon came is nothing new, and one in a container that was seen to start is', (t) => {
  plays(t, { a: refusing(0, 7), b: refusing(5_000, 7) }, 'ab', '--')
  plays(t, { a: befell(0, 'started'), b: refusing(1_000, 1) }, 'ab', '-h', { h: 'pids-limit-hit' })
})

const growing = (time: number, current: number, limit: number | null = null) =>
  sample(time, { pids: { current, limit } })

test('a container without a limit that grows by 500 processes within 10 s bursts, once', (t) => {
  const moments = {
    a: sample(0, { pids: { current: 4 } }),
    b: growing(5_000, 503),
    c: growing(6_000, 504),
    d: growing(7_000, 5_000),
  }
  const sayings = { n: 'no-limits firing', p: 'process-burst' }
  plays(t, moments, 'abcd', '-np-', sayings)
})

test('a fork bomb that is at its limit at the next look is one finding', (t) => {
  const moments = {
    a: growing(0, 1, 50),
    b: sample(1_000, { pids: { current: 50, limit: 50, refusedForks: 9 } }),
  }
  plays(t, moments, 'ab', '-h', { h: 'pids-limit-hit also process-burst' })
})

const stalled = (time: number, someSeconds: number) =>
  sample(time, { pressure: { memory: { someSeconds, fullSeconds: 0 } } })

test('a container whose processes wait for memory over 20 % of the time for 30 s is under pressure', (t) => {
  const moments = {
    a: stalled(0, 100),
    b: stalled(5_000, 102),
    c: stalled(15_000, 106),
    d: stalled(34_999, 114),
    e: stalled(35_000, 114),
    f: stalled(45_000, 114.9),
  }
  const sayings = { f: 'memory-pressure firing', r: 'memory-pressure resolved' }
  plays(t, moments, 'abcdef', '----fr', sayings)
})

const died = (time: number, exitCode = 1) => befell(time, 'died', { exitCode })
const loop = { l: 'restart-loop firing', r: 'restart-loop resolved' }

test('three restarts within 5 minutes are a loop, over when there was none for as long', (t) => {
  const moments = {
    a: died(1_000),
    b: befell(1_100, 'started'),
    c: died(2_000),
    d: befell(2_200, 'started'),
    e: died(3_000),
    f: befell(3_400, 'started'),
  }
  plays(t, moments, 'abcdef', '-----l 299999ms r', loop)
})

test('a container that dies for good ends its loop too, and a removed one at once', (t) => {
  const moments = {
    a: died(1_000),
    b: befell(1_100, 'started'),
    c: died(2_000),
    d: befell(2_200, 'started'),
    e: died(3_000),
    f: befell(3_400, 'started'),
    g: died(4_000),
    x: befell(5_000, 'removed'),
  }
  plays(t, moments, 'abcdefg', '-----l 299999ms r', loop)
  plays(t, moments, 'abcdefgx', '-----l-r', loop)
})

test('restarts that are further apart are no loop, and neither is a first start', (t) => {
  const moments = {
    a: befell(0, 'started'),
    b: died(1_000),
    c: befell(1_100, 'started'),
    d: died(299_000),
    e: befell(299_100, 'started'),
    f: died(301_000),
    g: befell(301_101, 'started'),
  }
  plays(t, moments, 'abcdefg', '-------')
})

test('an exec that ended killed in the moment of a kill for memory is named', (t) => {
  marbles(t, ({ hot, expectObservable }) => {
    const exec = sampleExec({ container: container(), argv: ['tail', '/dev/zero'] })
    const { execId } = exec
    const execs$ = hot('x', { x: exec })
    const containers$ = hot('-o', { o: befell(1_000, 'oom') })
    const end: ExecEnded = {
      kind: 'exec-ended',
      time: 1_050,
      container: container(),
      execId,
      exitCode: 137,
    }
    const execEnds$ = hot('--e', { e: end })
    const detected$ = resourceLimitBreach.detect({ ...silent, containers$, execs$, execEnds$ }, settings)
    const named$ = detected$.pipe(map(({ rule, evidence }) => [rule, evidence['killed_execs']]))
    expectObservable(named$).toBe('- 1s k', { k: ['oom-kill', ['tail /dev/zero']] })
  })
})

test('missing limits are one condition, resolved when the last of them is set', (t) => {
  const moments = {
    a: sample(0, { memory: { limitBytes: null }, pids: { limit: null } }),
    b: sample(5_000, { pids: { limit: null } }),
    c: sample(10_000),
  }
  plays(t, moments, 'abc', 'f-r', { f: 'no-limits firing', r: 'no-limits resolved' })
})

test('a container without limits that ended does not lack them any more', (t) => {
  const moments = { a: sample(0, { cpu: { quotaCores: null } }), b: befell(1_000, 'removed') }
  plays(t, moments, 'ab', 'fr', { f: 'no-limits firing', r: 'no-limits resolved' })
})

const counting = (time: number, oomKills: number | null) => sample(time, { memory: { oomKills } })
const kill = { k: 'oom-kill' }
const death = { k: 'container-oom-killed' }

test('an oom event that no death follows within a second is the kill of a process', (t) => {
  plays(t, { a: befell(1_000, 'oom') }, 'a', '1s k', kill)
})

const killed = (time: number, pid: number): ProcessKilled => ({
  kind: 'process-killed',
  time,
  container: container(),
  process: { pid, startTicks: 1, exe: '/bin/eat', argv: ['eat'] },
})

test('an oom event whose kill was the first process’s waits for the death, for seconds on a busy host', (t) => {
  const moments = {
    a: befell(1_000, 'oom'),
    k: killed(1_005, 4242),
    c: sample(5_500),
    d: befell(6_000, 'died', { exitCode: 137 }),
  }
  plays(t, moments, 'a 4ms k 4494ms c 499ms d', '5000ms k', death)
  plays(t, { ...moments, k: killed(1_005, 4300) }, 'a 4ms k 4494ms c 499ms d', '1s k', kill)
  plays(t, moments, 'a 4ms k', '10s k', kill)
})

test('an oom event and the death that follows are one kill of the container', (t) => {
  const moments = { a: befell(1_000, 'oom'), b: befell(1_200, 'died', { exitCode: 137 }) }
  plays(t, moments, 'a 199ms b', '200ms k', death)
})

test('a death that comes before its oom event is the same one kill', (t) => {
  const moments = { a: befell(1_000, 'died', { exitCode: 137 }), b: befell(1_010, 'oom') }
  plays(t, moments, 'a 9ms b', '10ms k', death)
})

test('a death that the engine itself calls one for memory needs no event, and an event adds nothing', (t) => {
  const moments = { a: befell(1_000, 'died', { exitCode: 137, oomKilled: true }), b: befell(1_010, 'oom') }
  plays(t, moments, 'a 9ms b', 'k', death)
})

test('a kill that the counter and the event tell of is one, whichever comes first', (t) => {
  const moments = { a: counting(0, 0), b: befell(4_000, 'oom'), c: counting(5_000, 1) }
  plays(t, moments, 'abc', '- 1s k', kill)
  const late = { a: counting(0, 0), b: counting(5_000, 1), c: befell(5_050, 'oom') }
  plays(t, late, 'ab 49ms c', '- 10s k', kill)
})

test('a kill that the counter alone tells of is said', (t) => {
  plays(t, { a: counting(0, 3), b: counting(5_000, 4) }, 'ab', '- 10s k', kill)
})

test('what the counter told before the daemon came is no new kill', (t) => {
  plays(t, { a: counting(0, 3), b: counting(5_000, 3) }, 'ab', '--')
})

test('a kill that the counter tells of waits for the engine to tell of the death, for seconds on a busy host', (t) => {
  const moments = { a: counting(0, 0), b: counting(5_000, 1), c: befell(9_000, 'died', { exitCode: 137 }) }
  plays(t, moments, 'ab 3s c', '-- 3s d', { d: 'container-oom-killed' })
})

test('a container that has processes three seconds after a kill has survived it', (t) => {
  const moments = { a: counting(0, 0), b: counting(5_000, 1), c: counting(7_900, 1), d: counting(8_000, 1) }
  plays(t, moments, 'abcd', '---k', kill)
})

test('the first sample of a container that was seen to start tells of its kills', (t) => {
  plays(t, { a: befell(0, 'started'), b: counting(5_000, 1) }, 'ab', '- 10s k', kill)
})

test('the counter of a new cgroup counts from 0 again', (t) => {
  const moments = {
    a: counting(0, 2),
    b: befell(1_000, 'died', { exitCode: 0 }),
    c: befell(2_000, 'started'),
    d: counting(3_000, 0),
    e: counting(8_000, 1),
  }
  plays(t, moments, 'abcde', '---- 10s k', kill)
})

test('a child killed long before a container is killed by hand is not what it died of', (t) => {
  const moments = {
    a: befell(1_000, 'oom'),
    b: befell(60_000, 'died', { exitCode: 137, oomKilled: true }),
  }
  plays(t, moments, 'a 9s b', '1s k', kill)
})

test('a flag that was there when the daemon came is not what the container died of later', (t) => {
  const moments = {
    a: befell(0, 'seen', { oomKilled: true }),
    b: befell(60_000, 'died', { exitCode: 137, oomKilled: true }),
  }
  plays(t, moments, 'ab', '--')
})

test('docker kill is no kill for memory', (t) => {
  plays(t, { a: counting(0, 0), b: befell(1_000, 'died', { exitCode: 137 }) }, 'ab', '--')
})

test('a job that ends well while a child of it was killed lived', (t) => {
  const moments = { a: befell(1_000, 'oom'), b: befell(1_100, 'died', { exitCode: 0, oomKilled: true }) }
  plays(t, moments, 'a 99ms b', '100ms k', kill)
})

test('of two kills at the end, the later is the death', (t) => {
  const moments = {
    a: befell(1_000, 'oom'),
    b: befell(1_500, 'oom'),
    c: befell(1_600, 'died', { exitCode: 137 }),
  }
  plays(t, moments, 'a 499ms b 99ms c', '600ms (kd)', { k: 'oom-kill', d: 'container-oom-killed' })
})

test('a container that is killed and restarted at once is killed once each time', (t) => {
  const moments = {
    a: befell(1_000, 'oom'),
    b: befell(1_010, 'died', { exitCode: 137 }),
    c: befell(1_200, 'started'),
    d: befell(1_500, 'oom'),
    e: befell(1_510, 'died', { exitCode: 137 }),
  }
  plays(t, moments, 'a 9ms b 189ms c 299ms d 9ms e', '10ms k 499ms k', death)
})

test('a kill in the first second after a restart is not lost with the old life', (t) => {
  const moments = {
    a: befell(1_000, 'died', { exitCode: 0 }),
    b: befell(1_200, 'started'),
    c: befell(1_900, 'oom'),
  }
  plays(t, moments, 'a 199ms b 699ms c', '1900ms k', kill)
})

test('a replay of an old start and end does not make old kills new', (t) => {
  const moments = {
    a: befell(10_000, 'seen'),
    b: counting(10_000, 3),
    c: befell(4_000, 'died', { exitCode: 0 }),
    d: befell(5_000, 'started'),
    e: counting(15_000, 3),
  }
  plays(t, moments, 'abcde', '-----')
})

test('a replay that brings a death long after a kill, all at once, does not join them', (t) => {
  const moments = { a: befell(1_000, 'oom'), b: befell(60_000, 'died', { exitCode: 137 }) }
  plays(t, moments, '(ab)', 'k', kill)
})

test('whoever stops listening leaves nothing behind, whether containers run or have just ended', (t) => {
  marbles(t, ({ hot, expectObservable, expectSubscriptions }) => {
    const other = container({ id: 'f'.repeat(64) })
    const resources$ = hot('a-b', { a: sample(0), b: sample(0, { container: other }) })
    const containers$ = hot('---c', { c: befell(1_000, 'died', { exitCode: 0 }) })
    const detected$ = resourceLimitBreach.detect({ ...silent, resources$, containers$ }, settings)
    expectObservable(detected$, '^---!').toBe('----')
    expectSubscriptions(resources$.subscriptions).toBe(['^---!', '^---!'])
    expectSubscriptions(containers$.subscriptions).toBe(['^---!', '^---!', '^---!'])
  })
})

test('settings are refused when a condition would resolve above where it fires', (t) => {
  const { success, error } = resourceLimitBreach.settings.safeParse({ memory: { ratio: 0.5 } })
  t.false(success)
  t.deepEqual(error?.issues[0]?.path, ['memory', 'resolve_ratio'])
  t.like(settings, { memory: { ratio: 0.9, resolve_ratio: 0.8, hold: 30_000 }, cpu: { hold: 300_000 } })
})

test('a container without details is judged all the same', (t) => {
  const bare = container({ details: null })
  const moments = { a: befell(1_000, 'oom', { container: bare }), b: usingMemory(0, 95, { container: bare }) }
  plays(t, moments, 'ab', '1s k', kill)
})
