import test, { type ExecutionContext } from 'ava'
import { asyncScheduler, filter, map, share } from 'rxjs'
import type { Detection } from '../../../agent/model/finding.ts'
import type { ContainerAction, ExecEnded, FirstProcess, OomVictim } from '../../../agent/model/observation.ts'
import { resourceLimitBreach } from '../../../detectors/resource-limit-breach/index.ts'
import type { Moment } from '../../../detectors/resource-limit-breach/moment.ts'
import {
  type Befallen,
  befell,
  container,
  type Given,
  oomVictim,
  sample,
} from '../../sources/resources/samples.ts'
import { dockerEvent } from '../../support/docker-event.ts'
import { marbles } from '../../support/marbles.ts'
import { silent } from '../../support/observed.ts'
import { sampleExec } from '../../support/samples.ts'

const settings = resourceLimitBreach.settings.parse({})

type Seen = Moment | OomVictim

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
      oomVictims$: moments$.pipe(filter((moment) => moment.kind === 'oom-victim')),
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

test('an exec that ended killed while a kill waited for its verdict is named', (t) => {
  marbles(t, ({ hot, expectObservable }) => {
    const exec = sampleExec({ container: container(), argv: ['tail', '/dev/zero'] })
    const { execId } = exec
    const running = { memory: { oomKills: 1 }, firstProcess: 'running' } as const
    const resources$ = hot('a---bc', { a: sample(0), b: sample(6_000, running), c: sample(7_000, running) })
    const execs$ = hot('x', { x: exec })
    const containers$ = hot('-o', { o: befell(1_000, 'oom') })
    const end: ExecEnded = { kind: 'exec-ended', time: 5_000, container: container(), execId, exitCode: 137 }
    const execEnds$ = hot('--e', { e: end })
    const observed = { ...silent, resources$, containers$, execs$, execEnds$ }
    const detected$ = resourceLimitBreach.detect(observed, settings)
    const named$ = detected$.pipe(map(({ rule, evidence }) => [rule, evidence['killed_execs']]))
    expectObservable(named$).toBe('-----k', { k: ['oom-kill', ['tail /dev/zero']] })
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

const counting = (oomKills: number | null, firstProcess?: FirstProcess) =>
  using({ memory: { oomKills }, ...(firstProcess && { firstProcess }) })
const kill = { k: 'oom-kill' }
const death = { k: 'container-oom-killed' }

const named =
  (given: Partial<OomVictim> = {}): Timed =>
  (time) =>
    oomVictim(time, given)

test('a victim that is not the first process is reported at once', (t) => {
  plays(t, { a: befalls('started'), v: named(), e: befalls('oom') }, 'a 999ms v 60s e', '1s k', kill)
})

test('the first process as a victim is reported with its death, a minute later too', (t) => {
  const moments = {
    a: befalls('started'),
    v: named({ isInit: true }),
    d: befalls('died', { exitCode: 137 }),
    e: befalls('oom'),
  }
  plays(t, moments, 'a 999ms v 59999ms d 29999ms e', '61s k', death)
})

test('an event is a kill that was survived once two samples show the kill and the first process running', (t) => {
  const moments = { a: counting(0), e: befalls('oom'), b: counting(1, 'running'), c: counting(1, 'running') }
  plays(t, moments, 'a 999ms e 3999ms b 4999ms c', '10s k', kill)
})

test('a first process that takes a minute to end does not pass for alive', (t) => {
  const moments = {
    a: counting(0),
    e: befalls('oom'),
    b: counting(1, 'ending'),
    d: befalls('died', { exitCode: 137 }),
  }
  plays(t, moments, 'a 999ms e 3999ms b 4999ms b 54999ms d', '65s k', death)
})

test('where nothing decides a kill, it is reported after two minutes', (t) => {
  plays(t, { a: befalls('oom') }, 'a', '120s k', kill)
  plays(t, { a: befalls('oom'), b: counting(null) }, 'a 4999ms b 4999ms b', '120s k', kill)
})

test('an event that comes two minutes after the end is still matched with its death', (t) => {
  const moments = { a: befalls('died', { exitCode: 137 }), b: befalls('oom') }
  plays(t, moments, 'a 119999ms b', '120s k', death)
})

test('docker kill is no OOM kill, whatever was killed before', (t) => {
  const asks = dockerEvent('kill', { actorId: container().id, time: 1_000, attributes: { signal: '9' } })
  marbles(t, ({ hot, expectObservable }) => {
    const dockerEvents$ = hot('-a', { a: asks })
    const containers$ = hot('o-d', {
      o: befell(500, 'oom'),
      d: befell(1_100, 'died', { exitCode: 137, oomKilled: true }),
    })
    const detected$ = resourceLimitBreach.detect({ ...silent, containers$, dockerEvents$ }, settings)
    expectObservable(detected$.pipe(map(inWords))).toBe('--k', kill)
  })
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
  const moments = { a: named({ container: bare }), b: usingMemory(95, { container: bare }) }
  plays(t, moments, 'ab', 'k', kill)
})
