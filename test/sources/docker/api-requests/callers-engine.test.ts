import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, statSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { hostUsers } from '../../../../agent/linux/host-users.ts'
import type { Caller, ExecCaller } from '../../../../agent/model/observation.ts'
import { maxAncestors } from '../../../../agent/sources/processes/attribution/process-identity.ts'
import { docker, runContainer } from '../../../support/docker.ts'
import { programVolumes } from '../../../support/program-files.ts'
import { scaled, until } from '../../../support/until.ts'
import { endWatches, watchCallers } from './callers-watch.ts'

const socket = '/var/run/docker.sock'
const script = fileURLToPath(new URL('api-client.ts', import.meta.url))

// Serial, because they load the same two CPUs.
const serial = test.serial

test.after.always(endWatches)

serial('the docker CLI is identified by its request: attached, interactive or detached', async (t) => {
  const { callersOf } = await watchCallers()
  const { name, id } = await runContainer(t)
  const started = [
    start('docker', 'exec', name, 'true', 'plain'),
    start('docker', 'exec', '--detach', name, 'true', 'detached'),
    start('script', '--quiet', '--command', `docker exec -it ${name} sh -c "exit 0 # pty"`, '/dev/null'),
  ]
  await Promise.all(started.map(ended))
  const callers = await until(() => atLeast(3, callersOf(id)))
  for (const { caller } of callers)
    t.like(caller, {
      confidence: 'exact',
      client: 'seen',
      container: null,
      process: { uid: 0, user: 'root' },
    })
  const [plain, detached, pty] = ['plain', 'detached', 'sh'].map((word) => callerWith(callers, word))
  t.is(plain?.process?.pid, started[0]?.pid)
  t.is(detached?.process?.pid, started[1]?.pid)
  t.is(pty?.process?.argv[1], 'exec')
  t.true(pty?.process?.ancestors.some(({ pid }) => pid === started[2]?.pid))
  t.true(plain?.process?.exe.endsWith('/docker'))
  t.is(plain?.process?.ancestors[0]?.pid, process.pid)
  const ancestors = plain?.process?.ancestors ?? []
  t.true(ancestors.at(-1)?.pid === 1 || ancestors.length === maxAncestors)
})

serial('the login user is reported, even after a change of user', async (t) => {
  const { callersOf } = await watchCallers()
  const { name, id } = await runContainer(t)
  const login = 'echo 1 > /proc/self/loginuid && exec docker exec "$0" true'
  await ended(start('sh', '-c', login, name))
  const [callerSeen] = await until(() => atLeast(1, callersOf(id)))
  t.like(callerSeen?.caller.process, { user: 'root', loginUser: 'daemon' })
})

serial('any other client of the socket is identified too, with its user', async (t) => {
  const { callersOf } = await watchCallers()
  const { name, id } = await runContainer(t)
  const node = apiClient('exec', name, 'true', 'by-node')
  await ended(node)
  const execId = await ended(apiClient('create', name, 'true', 'by-user'))
  const user = { USER_IDS: `12345:${statSync(socket).gid}` }
  const asUser = startWith(user, process.execPath, script, socket, 'start', execId)
  await ended(asUser)
  const callers = await until(() => atLeast(2, callersOf(id)))
  t.like(callers[0]?.caller, { confidence: 'exact', process: { pid: node.pid } })
  t.like(callers.find((callerSeen) => callerSeen.execId === execId)?.caller, {
    confidence: 'exact',
    process: { pid: asUser.pid, uid: 12_345, user: '12345', loginUser: ownLogin() },
  })
})

serial('a client in a container with the socket mounted is named with that container', async (t) => {
  const { callersOf } = await watchCallers()
  const { name, id } = await runContainer(t)
  // The socket has another path there, but is bound to the same address.
  const client = await runContainer(t, [
    ...['--volume', `${socket}:/api/engine.sock`],
    ...(await programVolumes('docker')),
  ])
  await docker('exec', client.name, 'docker', '-H', 'unix:///api/engine.sock', 'exec', name, 'true', 'inside')
  const [callerSeen] = await until(() => atLeast(1, callersOf(id)))
  t.like(callerSeen?.caller, {
    confidence: 'exact',
    client: 'seen',
    container: { id: client.id, name: client.name },
  })
  t.deepEqual(callerSeen?.caller.process?.argv.slice(-2), ['true', 'inside'])
})

const many = scaled(40)

serial('parallel clients are not confused', async (t) => {
  const { seen, callersOf, losses } = await watchCallers()
  const { name, id } = await runContainer(t)
  const pids = new Map<string, number>()
  async function client(number: number): Promise<void> {
    for (let round = 0; round < many / 4; round++) {
      const word = `client-${number}-${round}`
      const command = ['exec', name, 'true', word] as const
      const child = number < 3 ? start('docker', ...command) : apiClient(...command)
      pids.set(word, child.pid ?? 0)
      await ended(child)
    }
  }
  await Promise.all([0, 1, 2, 3].map(client))
  const callers = await until(() => atLeast(many, callersOf(id)))
  const wordOf = new Map(
    seen().flatMap(({ observation: one }) => (one.kind === 'exec' ? [[one.execId, one.argv[1] ?? '']] : [])),
  )
  for (const { execId, caller } of callers) {
    if (caller.process !== null) t.is(caller.process.pid, pids.get(wordOf.get(execId) ?? '') ?? 0)
  }
  const exact = callers.filter(({ caller }) => caller.confidence === 'exact')
  const latencies = seen()
    .flatMap(({ observation: one, at }) => (one.kind === 'exec-caller' ? [at - one.time] : []))
    .toSorted((a, b) => a - b)
  t.log(
    `${exact.length} of ${callers.length} exact; ms after exec_start: ${latencies.map(Math.round).join(' ')}`,
  )
  t.is(exact.length, many)
  t.deepEqual(losses(), [])
})

serial('two clients that start one exec are ambiguous', async (t) => {
  const { callersOf } = await watchCallers()
  const { name, id } = await runContainer(t)
  const execId = await ended(apiClient('create', name, 'true'))
  // A start that the engine refuses also names the exec.
  await ended(apiClient('start', execId, '{'))
  await ended(apiClient('start', execId))
  const [callerSeen] = await until(() => atLeast(1, callersOf(id)))
  t.like(callerSeen, { execId, caller: { confidence: 'ambiguous', client: 'seen', process: null } })
})

serial('health checks have no client, and an exec with the same command has one', async (t) => {
  const { callersOf, execsOf } = await watchCallers()
  const { name, id } = await runContainer(t, ['--health-cmd=true', '--health-interval=300ms'])
  await until(() => atLeast(4, callersOf(id)))
  const lookalike = start('docker', 'exec', name, '/bin/sh', '-c', 'true')
  await ended(lookalike)
  const callers = await until(() => atLeast(8, callersOf(id)))
  t.true(execsOf(id).every(({ healthcheck }) => healthcheck))
  const [called, ...others] = callers.filter(({ caller }) => caller.client !== 'none')
  t.deepEqual(others, [])
  t.like(called?.caller, { confidence: 'exact', client: 'seen', process: { pid: lookalike.pid } })
  t.true(callers.every(({ caller }) => caller.client === 'seen' || caller.confidence === 'unknown'))
})

// Last, because for two seconds after it the engine's health checks cannot be distinguished from a client's execs.
serial(
  'a request in two pieces is no match, and does not count as a health check of the engine',
  async (t) => {
    const { callersOf } = await watchCallers()
    const { name, id } = await runContainer(t)
    await ended(apiClient('split', await ended(apiClient('create', name, 'true'))))
    const [callerSeen] = await until(() => atLeast(1, callersOf(id)))
    t.like(callerSeen?.caller, { confidence: 'unknown', client: 'unclear', process: null })
  },
)

serial(
  'without observed requests the docker CLI is identified by its command line, other clients are not',
  async (t) => {
    const { callersOf } = await watchCallers('connector')
    const { name, id } = await runContainer(t)
    const called = start('docker', 'exec', '--interactive', name, 'sleep', '0.3')
    await ended(called)
    await ended(apiClient('exec', name, 'true', 'unseen'))
    const callers = await until(() => atLeast(2, callersOf(id)))
    t.like(callers[0]?.caller, {
      confidence: 'argv',
      client: 'seen',
      process: { pid: called.pid, user: 'root' },
    })
    t.like(callers[1]?.caller, { confidence: 'unknown', client: 'unclear', process: null })
  },
)

function start(program: string, ...args: readonly string[]): ChildProcess {
  return startWith({}, program, ...args)
}

function startWith(
  env: Readonly<Record<string, string>>,
  program: string,
  ...args: readonly string[]
): ChildProcess {
  return spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'], env: { ...process.env, ...env } })
}

function apiClient(...args: readonly string[]): ChildProcess {
  return start(process.execPath, script, socket, ...args)
}

/** Returns its output. */
async function ended(child: ChildProcess): Promise<string> {
  const [output] = await Promise.all([child.stdout === null ? '' : text(child.stdout), once(child, 'close')])
  return output
}

/** The login user of the tests; empty without a login, as in a service. */
function ownLogin(): string {
  const uid = Number(readFileSync('/proc/self/loginuid', 'latin1'))
  return uid === 2 ** 32 - 1 ? '' : hostUsers().nameOf(uid)
}

function atLeast<T>(count: number, all: readonly T[]): readonly T[] | false {
  return all.length >= count && all
}

function callerWith(callers: readonly ExecCaller[], word: string): Caller | undefined {
  return callers.find(({ caller }) => caller.process?.argv.includes(word))?.caller
}
