import test, { type ExecutionContext } from 'ava'
import { asyncScheduler, filter, map, share } from 'rxjs'
import type { Detection } from '../../agent/model/finding.ts'
import type { ContainerAction, ExecEnded, ProcessKilled } from '../../agent/model/observation.ts'
import { resourceLimitBreach } from '../../detectors/resource-limit-breach.ts'
import type { Moment } from '../../detectors/resource-limit-breach/moment.ts'
import { type Befallen, befell, container, type Given, sample } from '../resources/samples.ts'
import { marbles } from '../support/marbles.ts'
import { silent } from '../support/observed.ts'
import { sampleExec } from '../support/samples.ts'

const settings = resourceLimitBreach.settings.parse({})

type Seen = Moment | ProcessKilled

/** Something that is seen at the time of its marble. */
type Timed = (time: number) => Seen

/**
 * Plays moments into the detector, each seen as it happens, or later where it brings its own time; what is said is
 * `rule` for an event and `rule state` for a condition.
 */
function plays(
  t: ExecutionContext,
  moments: Record<string, Seen | Timed>,
  seen: string,
  said: string,
  sayings: Record<string, string> = {},
): void {
  marbles(t, ({ hot, expectObservable }) => {
    const moments$ = hot(seen, moments).pipe(
      map((moment) => (typeof moment === 'function' ? moment(asyncScheduler.now()) : moment)),
      share(),
    )
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

const using =
  (given: Given = {}): Timed =>
  (time) =>
    sample(time, given)

const befalls =
  (action: ContainerAction, given: Befallen = {}): Timed =>
  (time) =>
    befell(time, action, given)

const usingMemory = (percent: number, given: Given = {}) =>
  using({ ...given, memory: { workingSetBytes: percent * 10, ...given.memory } })

const nearMemory = { f: 'memory-near-limit firing', r: 'memory-near-limit resolved' }

test('a container over 90 % of its memory limit for 30 s is near it, and under 80 % no more', (t) => {
  const moments = {
    a: usingMemory(95),
    b: usingMemory(91),
    c: usingMemory(90),
    d: usingMemory(80),
    e: usingMemory(79),
  }
  plays(t, moments, 'a 28999ms b 999ms c 999ms d 999ms e', '30s f 1999ms r', nearMemory)
})

test('falling under 90 % before 30 s are over starts the wait anew', (t) => {
  const moments = {
    a: usingMemory(95),
    b: usingMemory(89),
    c: usingMemory(95),
    d: usingMemory(95),
    e: usingMemory(95),
  }
  plays(t, moments, 'a 19999ms b 4999ms c 29998ms de', '55s f', nearMemory)
})

test('what is firing when the container ends is resolved, and forgotten for its next start', (t) => {
  const moments = {
    a: usingMemory(95),
    b: usingMemory(95),
    c: befalls('died', { exitCode: 0 }),
    d: usingMemory(95),
    e: usingMemory(95),
  }
  plays(t, moments, 'a 29999ms b 999ms c 999ms d 29998ms e', '30s f 999ms r', nearMemory)
})

test('a container that is found stopped has ended too', (t) => {
  const stopped = container({ state: 'exited' })
  const moments = {
    a: usingMemory(95),
    b: usingMemory(95),
    c: befalls('seen', { container: stopped }),
  }
  plays(t, moments, 'a 29999ms b 999ms c', '30s f 999ms r', nearMemory)
})

test('containers are judged apart', (t) => {
  const other = container({ id: 'f'.repeat(64), name: 'db-1' })
  const moments = {
    a: usingMemory(95),
    b: usingMemory(10, { container: other }),
    c: usingMemory(95),
    d: befalls('died', { container: other, exitCode: 0 }),
  }
  plays(t, moments, '(ab) 29996ms c 999ms d', '30s f', nearMemory)
})

test('a container that stays near its limit is told anew once a minute, if there is something new', (t) => {
  const moments = {
    a: usingMemory(95),
    b: usingMemory(95),
    c: usingMemory(96),
    d: usingMemory(95),
    e: usingMemory(96),
  }
  plays(t, moments, 'a 29999ms b 29999ms c 29999ms de', '30s f 60s f', nearMemory)
})

test('processes near their limit for 30 s are said, and their end', (t) => {
  const moments = {
    a: using({ pids: { current: 90 } }),
    b: using({ pids: { current: 100 } }),
    c: using({ pids: { current: 79 } }),
  }
  plays(t, moments, 'a 29999ms b 999ms c', '30s f 999ms r', {
    f: 'pids-near-limit firing',
    r: 'pids-near-limit resolved',
  })
})

const throttled = (periods: number, throttledPeriods: number) =>
  using({ cpu: { periods, throttledPeriods, throttledSeconds: throttledPeriods / 10 } })

test('a container throttled in over a quarter of its periods for 5 minutes is said', (t) => {
  const moments = {
    a: throttled(0, 0),
    b: throttled(2_990, 1_000),
    c: throttled(3_000, 1_000),
    d: throttled(6_000, 1_100),
  }
  plays(t, moments, 'a 298999ms b 999ms c 299999ms d', '300s f 299999ms r', {
    f: 'cpu-throttled firing',
    r: 'cpu-throttled resolved',
  })
})

const refusing = (refusedForks: number, current = 50) => using({ pids: { refusedForks, current } })

test('refused forks are one act as long as they go on, completed every 10 s', (t) => {
  const moments = {
    a: refusing(7),
    b: refusing(8),
    c: refusing(20),
    d: refusing(30),
    e: refusing(30),
    f: refusing(31),
  }
  plays(t, moments, 'a 999ms b 4999ms c 4999ms d 999ms e 67999ms f', '1s h 9999ms c 68999ms h', {
    h: 'pids-limit-hit',
    c: 'pids-limit-hit completes',
  })
})

test('a fork refused before the daemon came is nothing new, and one in a container that was seen to start is', (t) => {
  plays(t, { a: refusing(7), b: refusing(7) }, 'a 4999ms b', '')
  plays(t, { a: befalls('started'), b: refusing(1) }, 'a 999ms b', '1s h', { h: 'pids-limit-hit' })
})

const growing = (current: number, limit: number | null = null) => using({ pids: { current, limit } })

test('a container without a limit that grows by 500 processes within 10 s bursts, once', (t) => {
  const moments = {
    a: using({ pids: { current: 4 } }),
    b: growing(503),
    c: growing(504),
    d: growing(5_000),
  }
  const sayings = { n: 'no-limits firing', p: 'process-burst' }
  plays(t, moments, 'a 4999ms b 999ms c 999ms d', '5s n 999ms p', sayings)
})

test('a fork bomb that is at its limit at the next look is one finding', (t) => {
  const moments = {
    a: growing(1, 50),
    b: using({ pids: { current: 50, limit: 50, refusedForks: 9 } }),
  }
  plays(t, moments, 'a 999ms b', '1s h', { h: 'pids-limit-hit also process-burst' })
})

const stalled = (someSeconds: number) => using({ pressure: { memory: { someSeconds, fullSeconds: 0 } } })

test('a container whose processes wait for memory over 20 % of the time for 30 s is under pressure', (t) => {
  const moments = {
    a: stalled(100),
    b: stalled(102),
    c: stalled(106),
    d: stalled(114),
    e: stalled(114),
    f: stalled(114.9),
  }
  const sayings = { f: 'memory-pressure firing', r: 'memory-pressure resolved' }
  plays(t, moments, 'a 4999ms b 9999ms c 19998ms de 9999ms f', '35s f 9999ms r', sayings)
})

const died = (exitCode = 1) => befalls('died', { exitCode })
const loop = { l: 'restart-loop firing', r: 'restart-loop resolved' }

const restarting = {
  a: died(),
  b: befalls('started'),
  c: died(),
  d: befalls('started'),
  e: died(),
  f: befalls('started'),
}
const restarts = 'a 99ms b 899ms c 199ms d 799ms e 399ms f'

test('three restarts within 5 minutes are a loop, over when there was none for as long', (t) => {
  plays(t, restarting, restarts, '2400ms l 299999ms r', loop)
})

test('a container that dies for good ends its loop too, and a removed one at once', (t) => {
  const moments = { ...restarting, g: died(), x: befalls('removed') }
  plays(t, moments, `${restarts} 599ms g`, '2400ms l 299999ms r', loop)
  plays(t, moments, `${restarts} 599ms g 999ms x`, '2400ms l 1599ms r', loop)
})

test('restarts that are further apart are no loop, and neither is a first start', (t) => {
  const moments = {
    a: befalls('started'),
    b: died(),
    c: befalls('started'),
    d: died(),
    e: befalls('started'),
    f: died(),
    g: befalls('started'),
  }
  plays(t, moments, 'a 999ms b 99ms c 297899ms d 99ms e 1899ms f 100ms g', '')
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
    a: using({ memory: { limitBytes: null }, pids: { limit: null } }),
    b: using({ pids: { limit: null } }),
    c: using(),
  }
  plays(t, moments, 'a 4999ms b 4999ms c', 'f 9999ms r', { f: 'no-limits firing', r: 'no-limits resolved' })
})

test('a container without limits that ended does not lack them any more', (t) => {
  const moments = { a: using({ cpu: { quotaCores: null } }), b: befalls('removed') }
  plays(t, moments, 'a 999ms b', 'f 999ms r', { f: 'no-limits firing', r: 'no-limits resolved' })
})

const counting = (oomKills: number | null) => using({ memory: { oomKills } })
const kill = { k: 'oom-kill' }
const death = { k: 'container-oom-killed' }

test('an oom event that no death follows within a second is the kill of a process', (t) => {
  plays(t, { a: befalls('oom') }, 'a', '1s k', kill)
})

const killed =
  (pid: number) =>
  (time: number): ProcessKilled => ({
    kind: 'process-killed',
    time,
    container: container(),
    process: { pid, startTicks: 1, exe: '/bin/eat', argv: ['eat'] },
  })

test('an oom event whose kill was the first process’s waits for the death, for seconds on a busy host', (t) => {
  const moments = {
    a: befalls('oom'),
    k: killed(4242),
    c: using(),
    d: befalls('died', { exitCode: 137 }),
  }
  plays(t, moments, 'a 4ms k 4494ms c 499ms d', '5000ms k', death)
  plays(t, { ...moments, k: killed(4300) }, 'a 4ms k 4494ms c 499ms d', '1s k', kill)
  plays(t, moments, 'a 4ms k', '10s k', kill)
})

test('an oom event and the death that follows are one kill of the container', (t) => {
  const moments = { a: befalls('oom'), b: befalls('died', { exitCode: 137 }) }
  plays(t, moments, 'a 199ms b', '200ms k', death)
})

test('a death that comes before its oom event is the same one kill', (t) => {
  const moments = { a: befalls('died', { exitCode: 137 }), b: befalls('oom') }
  plays(t, moments, 'a 9ms b', '10ms k', death)
})

test('a death that the engine itself calls one for memory needs no event, and an event adds nothing', (t) => {
  const moments = { a: befalls('died', { exitCode: 137, oomKilled: true }), b: befalls('oom') }
  plays(t, moments, 'a 9ms b', 'k', death)
})

test('a kill that the counter and the event tell of is one, whichever comes first', (t) => {
  const moments = { a: counting(0), b: befalls('oom'), c: counting(1) }
  plays(t, moments, 'a 3999ms b 999ms c', '5s k', kill)
  const late = { a: counting(0), b: counting(1), c: befalls('oom') }
  plays(t, late, 'a 4999ms b 49ms c', '15s k', kill)
})

test('a kill that the counter alone tells of is said', (t) => {
  plays(t, { a: counting(3), b: counting(4) }, 'a 4999ms b', '15s k', kill)
})

test('what the counter told before the daemon came is no new kill', (t) => {
  plays(t, { a: counting(3), b: counting(3) }, 'a 4999ms b', '')
})

test('a kill that the counter tells of waits for the engine to tell of the death, for seconds on a busy host', (t) => {
  const moments = { a: counting(0), b: counting(1), c: befalls('died', { exitCode: 137 }) }
  plays(t, moments, 'a 4999ms b 3999ms c', '9s d', { d: 'container-oom-killed' })
})

test('a container that has processes three seconds after a kill has survived it', (t) => {
  const moments = { a: counting(0), b: counting(1), c: counting(1), d: counting(1) }
  plays(t, moments, 'a 4999ms b 2899ms c 99ms d', '8s k', kill)
})

test('the first sample of a container that was seen to start tells of its kills', (t) => {
  plays(t, { a: befalls('started'), b: counting(1) }, 'a 4999ms b', '15s k', kill)
})

test('the counter of a new cgroup counts from 0 again', (t) => {
  const moments = {
    a: counting(2),
    b: befalls('died', { exitCode: 0 }),
    c: befalls('started'),
    d: counting(0),
    e: counting(1),
  }
  plays(t, moments, 'a 999ms b 999ms c 999ms d 4999ms e', '18s k', kill)
})

test('a child killed long before a container is killed by hand is not what it died of', (t) => {
  const moments = {
    a: befalls('oom'),
    b: befalls('died', { exitCode: 137, oomKilled: true }),
  }
  plays(t, moments, 'a 58999ms b', '1s k', kill)
})

test('a flag that was there when the daemon came is not what the container died of later', (t) => {
  const moments = {
    a: befalls('seen', { oomKilled: true }),
    b: befalls('died', { exitCode: 137, oomKilled: true }),
  }
  plays(t, moments, 'a 59999ms b', '')
})

test('docker kill is no kill for memory', (t) => {
  plays(t, { a: counting(0), b: befalls('died', { exitCode: 137 }) }, 'a 999ms b', '')
})

test('a job that ends well while a child of it was killed lived', (t) => {
  const moments = { a: befalls('oom'), b: befalls('died', { exitCode: 0, oomKilled: true }) }
  plays(t, moments, 'a 99ms b', '100ms k', kill)
})

test('of two kills at the end, the later is the death', (t) => {
  const moments = {
    a: befalls('oom'),
    b: befalls('oom'),
    c: befalls('died', { exitCode: 137 }),
  }
  plays(t, moments, 'a 499ms b 99ms c', '600ms (kd)', { k: 'oom-kill', d: 'container-oom-killed' })
})

test('a container that is killed and restarted at once is killed once each time', (t) => {
  const moments = {
    a: befalls('oom'),
    b: befalls('died', { exitCode: 137 }),
    c: befalls('started'),
    d: befalls('oom'),
    e: befalls('died', { exitCode: 137 }),
  }
  plays(t, moments, 'a 9ms b 189ms c 299ms d 9ms e', '10ms k 499ms k', death)
})

test('a kill in the first second after a restart is not lost with the old life', (t) => {
  const moments = {
    a: befalls('died', { exitCode: 0 }),
    b: befalls('started'),
    c: befalls('oom'),
  }
  plays(t, moments, 'a 199ms b 699ms c', '1900ms k', kill)
})

test('a replay of an old start and end does not make old kills new', (t) => {
  const moments = {
    a: befell(10_000, 'seen'),
    b: counting(3)(10_000),
    c: befell(4_000, 'died', { exitCode: 0 }),
    d: befell(5_000, 'started'),
    e: counting(3)(15_000),
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
  const moments = { a: befalls('oom', { container: bare }), b: usingMemory(95, { container: bare }) }
  plays(t, moments, 'ab', '1s k', kill)
})
