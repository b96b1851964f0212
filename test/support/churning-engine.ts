import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { BoundedMap } from '../../agent/lib/bounded-map.ts'
import { type FakeEngine, fakeEngine, sendJson, withVersion } from './fake-engine.ts'
import { until } from './until.ts'

export type FakeContainer = { id: string; name: string; labels: Readonly<Record<string, string>> }

/** A fake engine whose containers and execs come and go as fast as its events are read. */
export type ChurningEngine = {
  /** For `--docker.host`. */
  host: string
  /** Number of events written. */
  sent: () => number
  /** Resolves when a client reads the events. */
  attached: () => Promise<void>
  create: (container: FakeContainer) => Promise<void>
  remove: (id: string) => Promise<void>
  /** An exec that starts and exits immediately. */
  exec: (container: FakeContainer, argv: readonly string[]) => Promise<void>
  /** Any event of a container. */
  emit: (container: FakeContainer, action: string) => Promise<void>
  stop: () => Promise<void>
}

/** Starts the engine; it is idle until its methods are called. */
export async function churningEngine(): Promise<ChurningEngine> {
  const containers = new Map<string, FakeContainer>()
  // A real engine discards exited execs too.
  const execs = new BoundedMap<string, { container: string; argv: readonly string[] }>(maxExecs)
  const streams = new Set<ServerResponse>()
  let sent = 0
  let lastNano = 0n

  const engine: FakeEngine = await fakeEngine(
    withVersion(({ path }, response) => {
      const [, kind, id = '', what] = path.split('/')
      if (path === '/events') return attach(response)
      if (path === '/containers/json') return sendJson(response, [...containers.values()].map(listing))
      const container = kind === 'containers' && what === 'json' ? containers.get(id) : undefined
      if (container !== undefined) return sendJson(response, inspection(container))
      const exec = kind === 'exec' ? execs.get(id) : undefined
      if (exec !== undefined) return sendJson(response, execInspection(id, exec))
      sendJson(response, path === '/info' ? {} : { message: 'no such thing' }, path === '/info' ? 200 : 404)
    }),
  )

  function attach(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders()
    streams.add(response)
    response.on('close', () => streams.delete(response))
  }

  /** Waits for a slow reader, unlike a real engine, so that only events that the reader drops are lost. */
  async function write(
    { id, name, labels }: FakeContainer,
    action: string,
    attributes: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const now = BigInt(Date.now()) * 1_000_000n
    lastNano = now > lastNano ? now : lastNano + 1n
    sent += 1
    const actor = { ID: id, Attributes: { ...labels, image: 'busybox', name, ...attributes } }
    const event = JSON.stringify({ Type: 'container', Action: action, Actor: actor, scope: 'local' })
    const line = `${event.slice(0, -1)},"timeNano":${lastNano}}\n`
    for (const stream of streams) {
      if (stream.write(line)) continue
      await new Promise<void>((resolve) => {
        const goOn = () => {
          stream.off('drain', goOn).off('close', goOn)
          resolve()
        }
        stream.on('drain', goOn).on('close', goOn)
      })
    }
  }

  return {
    host: `unix://${engine.endpoint.kind === 'unix' ? engine.endpoint.path : ''}`,
    sent: () => sent,
    attached: async () => void (await until(() => streams.size > 0)),
    async create(container) {
      containers.set(container.id, container)
      await write(container, 'create')
      await write(container, 'start')
    },
    async remove(id) {
      const container = containers.get(id)
      if (container === undefined) return
      containers.delete(id)
      for (const [execId, exec] of execs) if (exec.container === id) execs.delete(execId)
      await write(container, 'die', { exitCode: '0' })
      await write(container, 'destroy')
    },
    async exec(container, argv) {
      const execID = randomId()
      execs.set(execID, { container: container.id, argv })
      const command = argv.join(' ')
      await write(container, `exec_create: ${command}`, { execID })
      await write(container, `exec_start: ${command}`, { execID })
      await write(container, 'exec_die', { execID, exitCode: '0' })
    },
    emit: write,
    stop: () => engine.stop(),
  }
}

/** An ID in the engine's format. */
export function randomId(): string {
  return randomBytes(32).toString('hex')
}

const maxExecs = 20_000

function listing({ id, name, labels }: FakeContainer): object {
  return { Id: id, Names: [`/${name}`], Image: 'busybox', ImageID: '', Labels: labels, State: 'running' }
}

function inspection({ id, name, labels }: FakeContainer): object {
  return {
    Id: id,
    Name: `/${name}`,
    Config: { Image: 'busybox', User: '1000', Labels: labels, Cmd: ['sleep'] },
    HostConfig: { Memory: 64 * 2 ** 20, NanoCpus: 1e9, PidsLimit: 100 },
    State: { Status: 'running', Running: true, Pid: 0, StartedAt: new Date().toISOString() },
  }
}

function execInspection(
  id: string,
  { container, argv: [entrypoint, ...rest] }: { container: string; argv: readonly string[] },
) {
  return {
    ID: id,
    ContainerID: container,
    Running: false,
    ExitCode: 0,
    OpenStdin: false,
    Pid: 1,
    ProcessConfig: { entrypoint, arguments: rest, user: '', tty: false, privileged: false },
  }
}
