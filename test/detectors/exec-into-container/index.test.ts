import test from 'ava'
import { asyncScheduler, defer, ignoreElements, merge, type Observable, tap } from 'rxjs'
import { execLedger } from '../../../agent/exec-ledger/ledger.ts'
import type { Detection } from '../../../agent/model/finding.ts'
import type { Observation, ProcessObservation } from '../../../agent/model/observation.ts'
import { observationsByKind } from '../../../agent/daemon/pipeline.ts'
import { execIntoContainer } from '../../../detectors/exec-into-container/index.ts'
import { dockerEvent } from '../../support/docker-event.ts'
import { marbles } from '../../support/marbles.ts'
import { emptyMemory, silent } from '../../support/observed.ts'
import {
  sampleEnteringProcess,
  sampleCaller,
  sampleContainer,
  sampleExec,
  sampleProcess,
} from '../../support/samples.ts'

const web = sampleContainer()
const execId = 'e'.repeat(64)
const exec = sampleExec()
const end = { kind: 'exec-ended', time: 2_001_500, container: web, execId, exitCode: 3 } as const
const caller = {
  kind: 'exec-caller',
  time: 2_000_000,
  container: web,
  execId,
  caller: sampleCaller(),
} as const
const portainer = sampleContainer({ id: 'c'.repeat(64), name: 'portainer', image: 'portainer:2' })
const fromPortainer = { ...caller, caller: sampleCaller({ container: portainer }) }
const runc = sampleEnteringProcess(['runc', 'exec'])

const entered = (
  by = [sampleEnteringProcess(['nsenter', '-t', '1'])],
  id = '',
  rest = {},
): ProcessObservation =>
  sampleProcess({
    process: { pid: 5_000, startTicks: 100, startedAt: 1_999_990, argv: ['sh'] },
    origin: { via: 'entered', entry: { pid: 5_000, startTicks: 100, startedAt: 1_999_990 }, execId: id, by },
    ...rest,
  })

function detect(
  observations$: Observable<Observation>,
  { memory = emptyMemory(), settings = { settle: 2_000, learn_after: 2 }, pendingMs = 0 } = {},
): Observable<Detection> {
  return defer(() => {
    const execs = execLedger(
      memory,
      () => [],
      () => asyncScheduler.now() < pendingMs,
    )
    return merge(
      observations$.pipe(tap(execs.observe), ignoreElements()),
      execIntoContainer.detect({ ...silent, ...observationsByKind(observations$), memory, execs }, settings),
    )
  })
}

/** All detections of a timeline of observations, in virtual time. */
function detectionsOf(
  t: Parameters<typeof marbles>[0],
  timeline: string,
  values: Record<string, Observation>,
  options: Parameters<typeof detect>[1] = {},
): Detection[] {
  const all: Detection[] = []
  marbles(t, ({ hot, flush }) => {
    const detections$ = detect(hot(timeline, values), options)
    detections$.subscribe((detection) => all.push(detection))
    flush()
  })
  return all
}

const brief = (all: Detection[]) => all.map(({ rule, isUpdate }) => (isUpdate ? `+ ${rule}` : rule))

test('an exec is reported once and immediately, a health check is not', (t) => {
  const check = sampleExec({ healthcheck: true, execId: 'f'.repeat(64) })
  const all = detectionsOf(t, 'ab', { a: check, b: sampleExec({ argv: ['id', '-u'] }) })
  t.is(all.length, 1)
  t.like(all[0], {
    rule: 'exec-command',
    summary: 'unknown caller ran `id -u` in web-1',
    eventKey: execId,
    evidence: { argv: ['id', '-u'], argv_exact: true, tty: false },
  })
})

test('an exec’s caller, first programs and exit code are added to its one finding', (t) => {
  const program = entered([runc], execId)
  const all = detectionsOf(t, 'abcd', { a: exec, b: caller, c: program, d: end })
  t.deepEqual(brief(all), ['exec-command', '+ exec-command', '+ exec-command', '+ exec-command'])
  t.true(all.every(({ eventKey }) => eventKey === execId))
  t.is(all.at(-1)?.summary, 'alice ran `true` in web-1 (exit 3 after 1.5 s)')
  t.like(all.at(-1)?.evidence, { exit_code: 3, duration_seconds: 1.5 })
  t.like(all.at(-1)?.evidence['caller'], {
    pid: 4_300,
    user: 'root',
    login_user: 'alice',
    argv: ['docker', 'exec', 'web-1', 'true'],
    confidence: 'exact',
    ancestors: ['-bash (pid 4200)'],
  })
  t.deepEqual(all.at(-1)?.evidence['programs'], [{ argv: ['sh'], pid: 5_000, uid: 1_000 }])
})

test('a summary says who did what to which container, and the result', (t) => {
  const user1000 = sampleContainer({ name: 'app', details: { user: '1000' } })
  const alice = sampleCaller()
  const remote = sampleCaller({ confidence: 'remote', process: null, address: '10.0.0.1:4000' })
  const privileged = ['docker', 'exec', '--privileged', 'web-1', 'id']
  const byDocker = sampleCaller({ process: { ...alice.process!, argv: privileged } })
  const table: [Parameters<typeof sampleExec>[0], typeof alice, number | null, string][] = [
    [{ argv: ['id'] }, remote, 0, 'a client at 10.0.0.1:4000 ran `id` in web-1 (exit 0 after 1.5 s)'],
    [
      { argv: ['id'] },
      fromPortainer.caller,
      null,
      'a client in container portainer ran `id` in web-1 (exited)',
    ],
    [
      { argv: ['sh'], settings: { tty: true } },
      alice,
      0,
      'alice opened an interactive shell in web-1 as root (`sh`, exit 0 after 1.5 s)',
    ],
    [
      { argv: ['top'], settings: { tty: true } },
      alice,
      0,
      'alice ran `top` interactively in web-1 (as root, exit 0 after 1.5 s)',
    ],
    [
      { argv: ['id'], container: user1000, settings: { user: '1000' } },
      alice,
      0,
      'alice ran `id` in app (as uid 1000, exit 0 after 1.5 s)',
    ],
    [
      { argv: ['id'], container: user1000, settings: { user: '0' } },
      alice,
      0,
      'alice ran `id` in app (as root, app is configured for uid 1000, exit 0 after 1.5 s)',
    ],
    [
      { argv: ['id'], settings: { privileged: true } },
      alice,
      0,
      'alice ran `id` with --privileged in web-1 (exit 0 after 1.5 s)',
    ],
    [{ argv: ['/none'] }, alice, 127, 'alice tried `/none` in web-1; it failed (exit 127)'],
    [
      { argv: ['id'], settings: { privileged: true } },
      byDocker,
      126,
      'alice tried `docker exec --privileged web-1 id`; it failed (exit 126)',
    ],
    [{ argv: ['env', 'none'] }, alice, 126, 'alice tried `env none` in web-1; it failed (exit 126)'],
    [{ argv: ['sh', '-c', 'none'] }, alice, 127, 'alice ran `sh -c none` in web-1 (exit 127 after 1.5 s)'],
  ]
  for (const [what, by, exitCode, expected] of table) {
    const all = detectionsOf(t, 'abc', {
      a: sampleExec(what),
      b: { ...caller, caller: by },
      c: { ...end, exitCode },
    })
    t.is(all.at(-1)?.summary, expected)
  }
})

test('an exec that the engine could not start is worded as an attempt, under every rule and for every command', (t) => {
  const app = sampleContainer({ name: 'app', details: { user: '1000' } })
  const failed: Observation = { ...end, exitCode: 126, hasFailedToStart: true }
  const table: [Parameters<typeof sampleExec>[0], expected: string][] = [
    [{ argv: ['sh', '-c', 'id'] }, 'alice tried `sh -c id` in web-1; it failed (exit 126)'],
    [
      { argv: ['bash'], settings: { tty: true, openStdin: true } },
      'alice tried `bash` in web-1 as root; it failed (exit 126)',
    ],
    [
      { argv: ['sh'], container: app, settings: { user: 'root' } },
      'alice tried `sh` in app as root; it failed (exit 126)',
    ],
    [
      { argv: ['sh'], settings: { privileged: true } },
      'alice tried `sh` with --privileged in web-1; it failed (exit 126)',
    ],
    [{ argv: ['sh x'], exact: false, settings: null }, 'alice tried `sh x` in web-1; it failed (exit 126)'],
  ]
  for (const [what, expected] of table) {
    const all = detectionsOf(t, 'abc', { a: sampleExec(what), b: caller, c: failed })
    t.is(all.at(-1)?.summary, expected)
  }
})

test('a caller reported in the same turn as the exec is in the finding from the start', (t) => {
  const all = detectionsOf(t, '(ab)', { a: exec, b: fromPortainer })
  t.deepEqual(brief(all), ['exec-from-container'])
  t.truthy(all[0]?.evidence['caller'])
})

test('data that arrived before the engine reported the exec is in its finding from the start', (t) => {
  const [first, ...others] = detectionsOf(t, 'abc', { a: caller, b: entered([runc], execId), c: exec })
  t.deepEqual(others, [])
  t.like(first?.evidence, { pid: 5_000 })
  t.truthy(first?.evidence['caller'])
  t.truthy(first?.evidence['programs'])
})

test('the first five programs of an exec are reported', (t) => {
  const programs = Array.from('abcdefghi', (letter) => [letter, entered([runc], execId)] as const)
  const all = detectionsOf(t, 'x(abcdefghi)', { x: exec, ...Object.fromEntries(programs) })
  t.is(all.length, 6)
})

test('a client in a container is a finding until its image is learned or approved', (t) => {
  const memory = emptyMemory()
  const rules = () => brief(detectionsOf(t, 'ab', { a: fromPortainer, b: exec }, { memory }))
  t.deepEqual(rules(), ['exec-from-container'])
  t.deepEqual(rules(), ['exec-from-container'])
  t.deepEqual(rules(), ['exec-command'])
  memory.set('client/portainer:2', '0')
  t.deepEqual(rules(), ['exec-from-container'])
  memory.set('client/portainer:2', 'approved')
  t.deepEqual(rules(), ['exec-command'])
  const guessed = { ...caller, caller: sampleCaller({ container: web, confidence: 'ambiguous' }) }
  t.deepEqual(brief(detectionsOf(t, 'ab', { a: guessed, b: exec })), ['exec-command'])
})

test('a late client in a container updates the finding, and makes a new one of a plain command', (t) => {
  t.deepEqual(brief(detectionsOf(t, 'a 100ms bc', { a: exec, b: fromPortainer, c: end })), [
    'exec-command',
    '+ exec-command',
    'exec-from-container',
    '+ exec-from-container',
  ])
  const shell = sampleExec({ settings: { tty: true } })
  t.deepEqual(brief(detectionsOf(t, 'ab', { a: shell, b: fromPortainer })), [
    'interactive-shell',
    '+ interactive-shell',
  ])
})

test('a health check requested by a client is a lookalike, in either order of arrival', (t) => {
  const check = sampleExec({ healthcheck: true })
  const lookalike = ['healthcheck-lookalike']
  t.deepEqual(brief(detectionsOf(t, 'ab', { a: caller, b: check })), lookalike)
  t.deepEqual(brief(detectionsOf(t, 'ab', { a: check, b: caller })), lookalike)
  const remote = {
    ...caller,
    caller: sampleCaller({ confidence: 'remote', process: null, address: '10.0.0.1:1' }),
  }
  t.deepEqual(brief(detectionsOf(t, 'ab', { a: check, b: remote })), lookalike)
  const noClient = {
    ...caller,
    caller: sampleCaller({ confidence: 'unknown', client: 'none', process: null }),
  }
  t.deepEqual(brief(detectionsOf(t, 'ab', { a: check, b: noClient })), [])
})

test('an exec reported by an earlier run is updated only with a known caller', (t) => {
  const memory = emptyMemory()
  execLedger(memory).observe(exec)
  const noClient = {
    ...caller,
    caller: sampleCaller({ confidence: 'unknown', client: 'unclear', process: null }),
  }
  t.deepEqual(brief(detectionsOf(t, 'ab', { a: exec, b: noClient }, { memory })), ['exec-command'])
  t.deepEqual(brief(detectionsOf(t, 'ab', { a: exec, b: caller }, { memory })), [
    'exec-command',
    '+ exec-command',
  ])
})

test('health checks far more often than their interval explains are lookalikes', (t) => {
  const checked = (intervalSeconds: number, startIntervalSeconds?: number) =>
    sampleContainer({
      details: {
        healthcheck: {
          argv: ['true'],
          intervalSeconds,
          ...(startIntervalSeconds !== undefined && { startIntervalSeconds }),
        },
      },
    })
  const run = (container: typeof web, perSecond: number) => {
    const checks = Array.from({ length: 20 * perSecond }, (_, n) =>
      sampleExec({
        container,
        healthcheck: true,
        execId: String(n),
        time: 2_000_000 + (n * 1_000) / perSecond,
      }),
    )
    return brief(
      detectionsOf(
        t,
        checks.map((_, n) => `(${String.fromCodePoint(0x4e00 + n)})`).join(''),
        Object.fromEntries(checks.map((check, n) => [String.fromCodePoint(0x4e00 + n), check])),
      ),
    )
  }
  t.deepEqual(run(checked(0.1), 10), [])
  t.deepEqual(run(checked(30, 1), 1), [])
  t.is(run(checked(30), 1).length, 20 - 9)
})

test('an entry is judged after the engine had time to report an exec, and reported once with its tool', (t) => {
  marbles(t, ({ hot, expectObservable }) => {
    const rule$ = (values: Record<string, Observation>, timeline: string) => detect(hot(timeline, values))
    expectObservable(rule$({ a: entered() }, 'a')).toBe('2500ms d', {
      d: {
        rule: 'untracked-exec',
        time: 2_000_000,
        container: web,
        summary: 'root on the host entered web-1 with nsenter, bypassing Docker, and ran `sh` as uid 1000',
        subject: ['sh', '/app'],
        targetUser: 'uid 1000',
        actor: 'root with /usr/bin/nsenter',
        eventKey: `${web.id}:5000:100`,
        evidence: {
          argv: ['sh'],
          program: '/app',
          pid: 5_000,
          user: 'uid 1000',
          configured_user: '',
          tool: 'nsenter',
          tool_pid: 3_000,
          tool_user: 'root',
          login_user: undefined,
          tool_argv: ['nsenter', '-t', '1'],
          ancestry: ['nsenter -t 1 (pid 3000) as root'],
          from_container_id: undefined,
          unknown_exec_id: undefined,
          started_at: '1970-01-01T00:33:19.990Z',
        },
      },
    })
  })
})

test('the login user is named, and each process below the login with its user at that time', (t) => {
  const alice = { uid: 1_001, user: 'alice', loginUser: 'alice' }
  const line = [
    sampleEnteringProcess(['nsenter', '-t', '1']),
    sampleEnteringProcess(['sudo', 'nsenter'], { pid: 2_900, loginUser: 'alice' }),
    sampleEnteringProcess(['-bash'], { pid: 2_800, ...alice }),
  ]
  const [entry] = detectionsOf(t, 'a', { a: entered(line) })
  t.is(
    entry?.summary,
    'alice on the host entered web-1 with nsenter, bypassing Docker, and ran `sh` as uid 1000',
  )
  t.like(entry?.evidence, { tool_user: 'root', login_user: 'alice' })
  t.deepEqual(entry?.evidence['ancestry'], [
    'nsenter -t 1 (pid 3000) as root',
    'sudo nsenter (pid 2900) as root',
    '-bash (pid 2800) as alice',
  ])
  const [outside] = detectionsOf(t, 'a', { a: sampleProcess({ hostFiles: 'root', lineage: line }) })
  t.like(outside?.evidence, { host_user: 'root', login_user: 'alice' })
  t.deepEqual(outside?.evidence['ancestry'], ['sudo nsenter (pid 2900) as root', '-bash (pid 2800) as alice'])
})

test('an exec of the Docker API explains an entry, whichever source reports it in time', (t) => {
  const byId = entered([runc], execId)
  const event = dockerEvent('exec_start', { actorId: web.id, attributes: { execID: execId } })
  const running = sampleExec({ settings: { pid: 5_000 } })
  const hiding = sampleContainer({ labels: { execID: execId } })
  const isUntracked = (timeline: string, values: Record<string, Observation>) =>
    brief(detectionsOf(t, timeline, values)).includes('untracked-exec')
  t.true(isUntracked('a', { a: byId }), 'an unknown id')
  t.false(isUntracked('ab', { a: byId, b: exec }), 'the engine reports it')
  t.false(isUntracked('ab', { a: byId, b: event }), 'an event names it')
  t.false(isUntracked('ab', { a: byId, b: { ...exec, healthcheck: true } }), 'a health check')
  t.false(isUntracked('a 2400ms b', { a: byId, b: exec }), 'at the recheck')
  t.true(isUntracked('a 2600ms b', { a: byId, b: exec }), 'too late')
  t.true(isUntracked('ab', { a: byId, b: { ...exec, container: portainer } }), 'another container’s')
  t.false(isUntracked('ab', { a: entered([sampleEnteringProcess(['x'])]), b: running }), 'its pid')
  t.true(isUntracked('ab', { a: { ...byId, container: hiding }, b: event }), 'an image’s label')
  t.false(isUntracked('ab', { a: byId, b: { ...exec, execId: '' } }), 'an exec whose id is hidden')
  const before = { ...end, time: 1_990_000 }
  t.true(isUntracked('abc', { a: exec, b: before, c: byId }), 'an id used again')
})

test('an entry with an exec that the engine is asked about is judged by the answer', (t) => {
  const byId = entered([runc], execId)
  const isUntracked = (timeline: string, pendingMs: number) =>
    brief(detectionsOf(t, timeline, { a: byId, b: exec }, { pendingMs })).includes('untracked-exec')
  t.false(isUntracked('a 6s b', 8_000), 'the engine knows it')
  t.true(isUntracked('a', 8_000), 'the engine does not know it')
  t.true(isUntracked('a', 60_000), 'the engine does not answer')
})

test('an entry without its runtime’s arguments is explained by an exec at that time', (t) => {
  const init = sampleEnteringProcess(['runc', 'init'])
  const shim = sampleEnteringProcess(['containerd-shim-runc-v2'], { exe: '/usr/bin/containerd-shim-runc-v2' })
  const check = sampleExec({ healthcheck: true })
  const isUntracked = (by: Parameters<typeof entered>[0], ...execs: Observation[]) => {
    const [first, second] = execs
    const all = { a: entered(by), b: first ?? entered(by), c: second ?? entered(by) }
    return brief(detectionsOf(t, 'abc'.slice(0, 1 + execs.length), all)).includes('untracked-exec')
  }
  t.false(isUntracked([init, shim], check))
  t.false(isUntracked([init], check))
  t.true(isUntracked([init, shim]), 'no exec at the time')
  t.true(
    isUntracked([init, sampleEnteringProcess(['runc', 'exec', 'web', 'sh']), shim], check),
    'run by hand',
  )
  t.true(isUntracked([sampleEnteringProcess(['nsenter', '-t', '1'])], check), 'another tool')
  t.true(isUntracked([init, { ...shim, containerId: portainer.id }], check), 'imitated in a container')
  // An exec explains one entry: here its first process is known already.
  const entry = { pid: 6_000, startTicks: 7, startedAt: 1_999_990 }
  const own = entered([runc], check.execId, {
    origin: { via: 'entered', entry, execId: check.execId, by: [runc] },
  })
  t.true(isUntracked([init, shim], check, own))
})

test('no entry is judged while the engine’s events are down', (t) => {
  const status = (up: boolean): Observation => ({
    ...{ kind: 'source-status', source: 'docker-events', time: 0, mode: '', best: true, reason: '' },
    up,
  })
  const values = { d: status(false), u: status(true), a: entered([runc], execId), x: exec }
  t.deepEqual(brief(detectionsOf(t, 'da 10s u 1s x', values)), ['exec-command'])
  t.deepEqual(brief(detectionsOf(t, 'da 10s u 3s x', values)), ['untracked-exec', 'exec-command'])
  t.deepEqual(brief(detectionsOf(t, 'da', values)), [])
})

test('an escaped process is reported once, and not for each program it runs', (t) => {
  const out = sampleProcess({ hostFiles: 'mount-namespace', process: { pid: 10, parentPid: 9 } })
  const child = sampleProcess({ hostFiles: 'mount-namespace', process: { pid: 11, parentPid: 10 } })
  const other = sampleProcess({ hostFiles: 'root', process: { pid: 20, parentPid: 2 } })
  const all = detectionsOf(t, 'abac', { a: out, b: child, c: other })
  t.deepEqual(brief(all), ['host-namespace-entered', 'host-namespace-entered'])
  t.is(all[0]?.summary, 'app in web-1 escaped into the host’s mount namespace (ran `/app`)')
  t.is(all[1]?.evidence['entered'], 'root')
})

test('file copies into and out of a container are reported with their direction', (t) => {
  const seen: Observation = {
    kind: 'container',
    time: 0,
    action: 'seen',
    container: web,
    exitCode: null,
    previousName: null,
  }
  const copyIn = dockerEvent('extract-to-dir', { actorId: web.id })
  const copyOut = dockerEvent('archive-path', { actorId: 'gone' })
  const all = detectionsOf(t, 'abcd', { a: seen, b: copyIn, c: copyOut, d: dockerEvent('exec_die') })
  t.deepEqual(
    all.map(({ summary, container }) => [summary, container?.image]),
    [
      ['unknown caller copied files into web-1 (docker cp)', 'nginx:1.27'],
      ['unknown caller copied files out of web (docker cp)', 'nginx'],
    ],
  )
})

test('an entry as root into a container configured for another user names that user', (t) => {
  const container = sampleContainer({ details: { user: 'app' } })
  const asRoot = entered(undefined, '', {
    container,
    process: { pid: 5_000, startTicks: 100, containerUid: 0 },
  })
  const [first, ...others] = detectionsOf(t, 'p', { p: asRoot })
  t.deepEqual(others, [])
  t.regex(first?.summary ?? '', / entered web-1 with nsenter, .* as root \(web-1 is configured for app\)$/)
  t.like(first?.evidence, { user: 'root', configured_user: 'app' })
})

test('the tool of an entry is the applet that was called, for a multi-call binary', (t) => {
  const exe = '/bin/busybox'
  const runcExec = sampleEnteringProcess(['runc', 'exec'])
  const shell = sampleEnteringProcess(['sh', '-c', 'x'], { exe })
  for (const argv of [
    ['nsenter', '-t', '1'],
    ['busybox', 'nsenter', '-t', '1'],
  ]) {
    const [entry] = detectionsOf(t, 'p', {
      p: entered([sampleEnteringProcess(argv, { exe }), shell, runcExec]),
    })
    t.is(entry?.evidence['tool'], 'nsenter', argv.join(' '))
  }
  const [byShell] = detectionsOf(t, 'p', { p: entered([shell]) })
  t.is(byShell?.evidence['tool'], 'sh')
})
