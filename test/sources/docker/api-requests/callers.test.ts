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

test('a request that was there before the exec is told with it', (t) => {
  check(t, { requests: 'r', execs: '-e', expected: '-x', tells: { x: ['exact', 'seen'] } })
})

test('the kernel is asked for what it has told since, so that a rival is not missed', (t) => {
  const rival = sampleRequest({ pid: 2 })
  check(t, {
    requests: 'r',
    execs: '-e',
    expected: '-x',
    tells: { x: ['ambiguous', 'seen'] },
    onCatchUp: (deliver) => deliver(rival),
  })
})

test('a request that comes late is waited for, and one that comes later is not', (t) => {
  check(t, { requests: '50ms r', execs: 'e', expected: '100ms x', tells: { x: ['exact', 'seen'] } })
  check(t, { requests: '150ms r', execs: 'e', expected: '100ms x', tells: { x: ['unknown', 'unclear'] } })
})

test('while the kernel has told more than could be read, nobody is named, for a second at most', (t) => {
  const behind = { requests: 'r', execs: '-e', watch: { catchUp: () => false } }
  check(t, { ...behind, expected: '- 1s x', tells: { x: ['exact', 'seen'] } })
  check(t, { ...behind, requests: '-', expected: '- 1s x', tells: { x: ['unknown', 'unclear'] } })
  let tries = 0
  const watch = { catchUp: () => ++tries > 3 }
  check(t, { ...behind, requests: '250ms r', watch, expected: '- 300ms x', tells: { x: ['exact', 'seen'] } })
})

test('no request for a health check is no client, only where all are seen', (t) => {
  for (const [seen, client] of [
    [{}, 'none'],
    [{ watch: null }, 'unclear'],
    [{ watch: { since: exec.time + 1 } }, 'unclear'],
    [{ watch: { lost: () => 1 } }, 'unclear'],
    [{ nowIs: exec.time + 61_000 }, 'unclear'],
    [{ requests: 'p' }, 'unclear'],
    [{ requests: 'c' }, 'unclear'],
    [{ requests: '(cr)', exec: { ...healthcheck, execId: 'd'.repeat(64) } }, 'none'],
  ] as const)
    check(t, {
      requests: '-',
      execs: '-e',
      exec: healthcheck,
      expected: '- 100ms x',
      tells: { x: ['unknown', client] },
      ...seen,
    })
})

test('a loss throws doubt on what starts around it, and on nothing later', (t) => {
  check(t, {
    requests: '-',
    execs: 'e 200ms l',
    expected: '100ms x 200ms y',
    exec: healthcheck,
    watch: { lost: () => 1 },
    tells: { x: ['unknown', 'unclear'], y: ['unknown', 'none'] },
  })
})

test('without the request the docker command is known by its words', (t) => {
  const client = { pid: 7, startTicks: 999, program: running(...dockerExec) }
  const unseen = { requests: '-', execs: 'e', expected: '100ms x', watch: null }
  check(t, { ...unseen, living: [client], tells: { x: ['argv', 'seen'] } })
  check(t, { ...unseen, living: [client, { ...client, pid: 8 }], tells: { x: ['ambiguous', 'unclear'] } })
  // Compose is run by a docker of the same words.
  const plugin = { ...client, pid: 8, makerPid: 7, makerStartTicks: 999 }
  check(t, { ...unseen, living: [client, plugin], tells: { x: ['argv', 'seen'] } })
})

test('words are not enough where they may be another’s', (t) => {
  const client = { pid: 7, startTicks: 999, program: running(...dockerExec) }
  const unseen = { requests: '-', execs: 'e', expected: '100ms x', watch: null, living: [client] }
  const nobody = { x: ['unknown', 'unclear'] } as const
  // It asked long ago, for another exec, for the health check's words, on another host; or its words were cut.
  check(t, { ...unseen, living: [{ ...client, startTicks: 1 }], clockForward: 20_000, tells: nobody })
  check(t, { ...unseen, exec: { ...exec, healthcheck: true }, tells: nobody })
  check(t, { ...unseen, exec: { ...exec, exact: false }, tells: nobody })
  check(t, { ...unseen, local: false, tells: nobody })
  const cut = () => ({ ...client.program(), argvTruncated: true })
  check(t, { ...unseen, living: [{ ...client, program: cut }], tells: nobody })
  const other = sampleRequest({
    pid: 7,
    startTicks: 999,
    text: sampleRequest().text.replaceAll('e'.repeat(64), 'd'.repeat(64)),
  })
  check(t, { ...unseen, request: other, requests: 'r', tells: nobody })
  check(t, { ...unseen, execs: '(ef)', expected: '100ms (xx)', tells: { x: ['ambiguous', 'unclear'] } })
})

test('a client by TCP counts beside those of the socket', (t) => {
  const near = sampleRemote('10.0.0.5:41000')
  const asked = { requests: '-', execs: '-e', tcp: { startersOf: () => [near] } }
  check(t, { ...asked, expected: '-x', tells: { x: ['remote', 'seen'] } })
  check(t, { ...asked, requests: 'r', expected: '-x', tells: { x: ['ambiguous', 'seen'] } })
  const active = { requests: '-', execs: 'e', expected: '100ms x', tcp: { activeBefore: () => [near] } }
  check(t, { ...active, tells: { x: ['remote', 'seen'] } })
  // Anybody may have asked of whom not all was seen, by TCP or at the socket.
  check(t, { ...active, tcp: { ...active.tcp, sawAll: () => false }, tells: { x: ['unknown', 'unclear'] } })
  check(t, { ...active, watch: { lost: () => 1 }, tells: { x: ['unknown', 'unclear'] } })
  check(t, { ...active, exec: healthcheck, tells: { x: ['unknown', 'unclear'] } })
})

test('an exec without an id has no caller', (t) => {
  check(t, { requests: 'r', execs: '-e', exec: { ...exec, execId: '' }, expected: '-', tells: {} })
})

type Scene = {
  /** `r` the request, `p` a piece of one, `c` a create in the same container. */
  requests: string
  /** `e` the exec, `f` another of the same words, `l` one that is 5 seconds later. */
  execs: string
  expected: string
  tells: Readonly<Record<string, readonly [string, string]>>
  request?: ApiRequest
  exec?: ExecObservation
  watch?: Partial<ApiWatch> | null
  tcp?: Partial<ExecCallersOptions['tcp']>
  onCatchUp?: (deliver: (request: ApiRequest) => void) => void
  living?: readonly Parameters<typeof knownProcess>[0][]
  clockForward?: number
  nowIs?: number
  local?: boolean
}

function check(t: ExecutionContext, scene: Scene): void {
  const { living = [], clockForward = 0, nowIs = exec.time, local = true, onCatchUp } = scene
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
      now: () => nowIs,
    }
    const told$ = execCallers(options).pipe(map(({ caller: { confidence, client } }) => [confidence, client]))
    expectObservable(told$, '^ 2s !').toBe(scene.expected, scene.tells)
  })
}
