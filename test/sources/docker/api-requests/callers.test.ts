import test, { type ExecutionContext } from 'ava'
import { map, Subject, merge } from 'rxjs'
import {
  type ExecCallersOptions,
  execCallers,
} from '../../../../agent/sources/docker/api-requests/callers.ts'
import type { ApiRequest, ExecObservation } from '../../../../agent/model/observation.ts'
import type { ApiWatch } from '../../../../agent/sources/processes/api-requests.ts'
import { processTable } from '../../../../agent/sources/processes/table/table.ts'
import { fakeClock, knownProcess, running } from '../../processes/samples.ts'
import { marbles } from '../../../support/marbles.ts'
import { sampleExec } from '../../../support/samples.ts'
import { createLine, sampleRemote, sampleRequest } from './caller-samples.ts'

const exec = sampleExec()
const healthcheck = sampleExec({ healthcheck: true })
const dockerExec = ['docker', 'exec', 'web-1', 'true']

test('an exec is reported with an earlier request', (t) => {
  check(t, { requests: 'r', execs: '-e', expected: '-x', callers: { x: ['exact', 'seen'] } })
})

test('pending kernel records are read first, so that a second client is not missed', (t) => {
  const rival = sampleRequest({ pid: 2 })
  check(t, {
    requests: 'r',
    execs: '-e',
    expected: '-x',
    callers: { x: ['ambiguous', 'seen'] },
    onCatchUp: (deliver) => deliver(rival),
  })
})

test('a request that is 50 ms late is awaited, and one that is 150 ms late is not', (t) => {
  check(t, { requests: '50ms r', execs: 'e', expected: '100ms x', callers: { x: ['exact', 'seen'] } })
  check(t, { requests: '150ms r', execs: 'e', expected: '100ms x', callers: { x: ['unknown', 'unclear'] } })
})

test('with a backlog of kernel records no client is named, for at most a second', (t) => {
  const behind = { requests: 'r', execs: '-e', watch: { catchUp: () => false } }
  check(t, { ...behind, expected: '- 1s x', callers: { x: ['exact', 'seen'] } })
  check(t, { ...behind, requests: '-', expected: '- 1s x', callers: { x: ['unknown', 'unclear'] } })
  let tries = 0
  const watch = { catchUp: () => ++tries > 3 }
  check(t, {
    ...behind,
    requests: '250ms r',
    watch,
    expected: '- 300ms x',
    callers: { x: ['exact', 'seen'] },
  })
})

test('a health check without a request has no client, but only if all requests are observed', (t) => {
  for (const [seen, client] of [
    [{}, 'none'],
    [{ watch: null }, 'unclear'],
    [{ watch: { since: exec.time + 1 } }, 'unclear'],
    [{ watch: { lost: () => 1 } }, 'unclear'],
    [{ nowAt: exec.time + 61_000 }, 'unclear'],
    [{ requests: 'p' }, 'unclear'],
    [{ requests: 'c' }, 'unclear'],
    [{ requests: '(cr)', exec: { ...healthcheck, execId: 'd'.repeat(64) } }, 'none'],
  ] as const)
    check(t, {
      requests: '-',
      execs: '-e',
      exec: healthcheck,
      expected: '- 100ms x',
      callers: { x: ['unknown', client] },
      ...seen,
    })
})

test('a loss makes execs around it uncertain, but no later ones', (t) => {
  check(t, {
    requests: '-',
    execs: 'e 200ms l',
    expected: '100ms x 200ms y',
    exec: healthcheck,
    watch: { lost: () => 1 },
    callers: { x: ['unknown', 'unclear'], y: ['unknown', 'none'] },
  })
})

test('without the request the docker CLI is identified by its command line', (t) => {
  const client = { pid: 7, startTicks: 999, program: running(...dockerExec) }
  const unseen = { requests: '-', execs: 'e', expected: '100ms x', watch: null }
  check(t, { ...unseen, living: [client], callers: { x: ['argv', 'seen'] } })
  check(t, { ...unseen, living: [client, { ...client, pid: 8 }], callers: { x: ['ambiguous', 'unclear'] } })
  // `docker compose` runs Compose with the same arguments.
  const plugin = { ...client, pid: 8, creatorPid: 7, creatorStartTicks: 999 }
  check(t, { ...unseen, living: [client, plugin], callers: { x: ['argv', 'seen'] } })
})

test('a command line is not enough if it may belong to another exec', (t) => {
  const client = { pid: 7, startTicks: 999, program: running(...dockerExec) }
  const unseen = { requests: '-', execs: 'e', expected: '100ms x', watch: null, living: [client] }
  const unknown = { x: ['unknown', 'unclear'] } as const
  // An old process, a request for another exec, a health check's command, another host, or a truncated command line.
  check(t, { ...unseen, living: [{ ...client, startTicks: 1 }], clockForward: 20_000, callers: unknown })
  check(t, { ...unseen, exec: { ...exec, healthcheck: true }, callers: unknown })
  check(t, { ...unseen, exec: { ...exec, exact: false }, callers: unknown })
  check(t, { ...unseen, local: false, callers: unknown })
  const cut = () => ({ ...client.program(), argvTruncated: true })
  check(t, { ...unseen, living: [{ ...client, program: cut }], callers: unknown })
  const other = sampleRequest({
    pid: 7,
    startTicks: 999,
    text: sampleRequest().text.replaceAll('e'.repeat(64), 'd'.repeat(64)),
  })
  check(t, { ...unseen, request: other, requests: 'r', callers: unknown })
  check(t, { ...unseen, execs: '(ef)', expected: '100ms (xx)', callers: { x: ['ambiguous', 'unclear'] } })
})

test('TCP clients count along with clients of the socket', (t) => {
  const near = sampleRemote('10.0.0.5:41000')
  const asked = { requests: '-', execs: '-e', tcp: { startersOf: () => [near] } }
  check(t, { ...asked, expected: '-x', callers: { x: ['remote', 'seen'] } })
  check(t, { ...asked, requests: 'r', expected: '-x', callers: { x: ['ambiguous', 'seen'] } })
  const active = { requests: '-', execs: 'e', expected: '100ms x', tcp: { activeBefore: () => [near] } }
  check(t, { ...active, callers: { x: ['remote', 'seen'] } })
  // With missed requests, over TCP or on the socket, the caller may be any client.
  check(t, { ...active, tcp: { ...active.tcp, sawAll: () => false }, callers: { x: ['unknown', 'unclear'] } })
  check(t, { ...active, watch: { lost: () => 1 }, callers: { x: ['unknown', 'unclear'] } })
  check(t, { ...active, exec: healthcheck, callers: { x: ['unknown', 'unclear'] } })
})

test('an exec without an id has no caller', (t) => {
  check(t, { requests: 'r', execs: '-e', exec: { ...exec, execId: '' }, expected: '-', callers: {} })
})

type Scene = {
  /** `r` the request, `p` a piece of one, `c` a create in the same container. */
  requests: string
  /** `e` the exec, `f` another with the same command, `l` one that is 5 seconds later. */
  execs: string
  expected: string
  callers: Readonly<Record<string, readonly [string, string]>>
  request?: ApiRequest
  exec?: ExecObservation
  watch?: Partial<ApiWatch> | null
  tcp?: Partial<ExecCallersOptions['tcp']>
  onCatchUp?: (deliver: (request: ApiRequest) => void) => void
  living?: readonly Parameters<typeof knownProcess>[0][]
  clockForward?: number
  nowAt?: number
  local?: boolean
}

function check(t: ExecutionContext, scene: Scene): void {
  const { living = [], clockForward = 0, nowAt = exec.time, local = true, onCatchUp } = scene
  const clock = fakeClock()
  const table = processTable({ clock })
  for (const process of living) table.add(knownProcess(process))
  clock.forward(clockForward)
  const subject = scene.exec ?? exec
  const execs = {
    e: subject,
    f: { ...subject, execId: 'f'.repeat(64) },
    l: { ...subject, execId: '1'.repeat(64), time: subject.time + 5_000 },
  }
  const requests = {
    r: scene.request ?? sampleRequest(),
    p: sampleRequest({ text: 'POST /exec/' }),
    c: sampleRequest({ text: createLine('web-1') }),
  }
  marbles(t, ({ hot, expectObservable }) => {
    const read$ = new Subject<ApiRequest>()
    const watch: ApiWatch = {
      since: exec.time - 1_000,
      lost: () => 0,
      catchUp() {
        onCatchUp?.((request) => read$.next(request))
        return true
      },
      ...scene.watch,
    }
    const options: ExecCallersOptions = {
      execs$: hot(scene.execs, execs),
      requests$: merge(hot(scene.requests, requests), read$),
      apiWatch: () => (scene.watch === null ? null : watch),
      tcp: {
        startersOf: () => [],
        activeBefore: () => [],
        catchUp: () => true,
        sawAll: () => true,
        ...scene.tcp,
      },
      local,
      table,
      containers: { get: () => undefined, all: () => [], running: () => [] },
      procRoot: '/nonexistent',
      clock,
      now: () => nowAt,
    }
    const callers$ = execCallers(options).pipe(
      map(({ caller: { confidence, client } }) => [confidence, client]),
    )
    expectObservable(callers$, '^ 2s !').toBe(scene.expected, scene.callers)
  })
}
