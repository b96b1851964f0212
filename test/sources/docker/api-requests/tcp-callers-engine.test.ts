import { fileURLToPath } from 'node:url'
import { rm } from 'node:fs/promises'
import test, { type ExecutionContext } from 'ava'
import { busyboxImage } from '../../../support/busybox-image.ts'
import { makeCertificates } from '../../../support/certificates.ts'
import { privateEngine, type PrivateEngine } from '../../../support/private-engine.ts'
import { run, start } from '../../../support/processes.ts'
import { scaled, until } from '../../../support/until.ts'
import { temporaryDirectory } from '../../../support/temporary-directory.ts'
import { watchCallersOf } from './callers-watch.ts'

const script = fileURLToPath(new URL('api-client.ts', import.meta.url))
const port = '2375'
// The kernel redirects a client from this port to the engine, so no process is observed sending to the engine's own
// port: this is how a client on another host looks.
const farPort = '12375'

test.serial(
  'TCP clients are identified by what the engine reads, local ones with their process',
  async (t) => {
    const { engine, id, callersOf } = await engineWithContainer(t, ['--tls=false'])
    const callerOf = async (...argv: readonly string[]) => {
      const before = callersOf(id).length
      const client = start('nsenter', [`--net=${engine.network}`, ...argv])
      const { pid } = client.process
      await client.exited
      const reported = await until(() => callersOf(id)[before])
      return { caller: reported.caller, pid }
    }

    const here = await callerOf('docker', '-H', `tcp://127.0.0.1:${port}`, 'exec', 'box', 'true', 'cli')
    t.like(here.caller, { confidence: 'exact', client: 'seen', process: { pid: here.pid, user: 'root' } })
    t.regex(here.caller.address, /^127\.0\.0\.1:\d+$/)

    const byNode = await callerOf(
      process.execPath,
      script,
      `127.0.0.1:${port}`,
      'exec',
      'box',
      'true',
      'node',
    )
    t.like(byNode.caller, { confidence: 'exact', process: { pid: byNode.pid } })

    const far = await callerOf('docker', '-H', `tcp://127.0.0.1:${farPort}`, 'exec', 'box', 'true', 'far')
    t.like(far.caller, { confidence: 'remote', client: 'seen', process: null, by: 'request' })
    t.regex(far.caller.address, /^127\.0\.0\.1:\d+$/)

    // Clients of the same engine's socket are identified as before.
    await engine.docker('exec', 'box', 'true', 'socket')
    const [, , , bySocket] = await until(() => callersOf(id).length >= 4 && callersOf(id))
    t.like(bySocket?.caller, { confidence: 'exact', address: '' })
  },
)

const rounds = scaled(12)

test.serial(`${rounds * 3} TCP clients, three at a time, are not confused`, async (t) => {
  const { engine, id, callersOf, execsOf } = await engineWithContainer(t, ['--tls=false'])
  const here = `127.0.0.1:${port}`
  const lanes: Record<string, readonly string[]> = {
    cli: ['docker', '-H', `tcp://${here}`, 'exec', 'box', 'true'],
    node: [process.execPath, script, here, 'exec', 'box', 'true'],
    far: ['docker', '-H', `tcp://127.0.0.1:${farPort}`, 'exec', 'box', 'true'],
  }
  const pids = new Map<string, number>()
  async function lane(name: string, argv: readonly string[]): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      const word = `${name}-${round}`
      const client = start('nsenter', [`--net=${engine.network}`, ...argv, word])
      pids.set(word, client.process.pid ?? 0)
      await client.exited
    }
  }
  await Promise.all(Object.entries(lanes).map(([name, argv]) => lane(name, argv)))
  const callers = await until(() => callersOf(id).length >= 3 * rounds && callersOf(id))
  const wordOf = new Map(execsOf(id).map(({ execId, argv }) => [execId, argv[1] ?? '']))
  const count = new Map<string, number>()
  for (const { execId, caller } of callers) {
    const word = wordOf.get(execId) ?? ''
    count.set(caller.confidence, (count.get(caller.confidence) ?? 0) + 1)
    if (caller.process !== null) t.is(caller.process.pid, pids.get(word) ?? 0, word)
    t.is(caller.confidence, word.startsWith('far') ? 'remote' : 'exact', word)
  }
  t.log(Object.fromEntries(count))
})

test.serial('one encrypted connection identifies the client, and several do not', async (t) => {
  const directory = await temporaryDirectory()
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const certificates = makeCertificates(directory)
  const { engine, id, callersOf, execsOf } = await engineWithContainer(t, [
    '--tlsverify',
    `--tlscacert=${certificates.ca}`,
    ...[`--tlscert=${certificates.serverCert}`, `--tlskey=${certificates.serverKey}`],
  ])
  const client = (at: string, ...args: readonly string[]) =>
    start('nsenter', [
      `--net=${engine.network}`,
      ...['docker', '--tlsverify', `--tlscacert=${certificates.ca}`],
      ...[`--tlscert=${certificates.clientCert}`, `--tlskey=${certificates.clientKey}`],
      ...['-H', `tcp://127.0.0.1:${at}`, ...args],
    ])

  const far = client(farPort, 'exec', 'box', 'true', 'far')
  await far.exited
  const [first] = await until(() => callersOf(id).length >= 1 && callersOf(id))
  t.like(first?.caller, { confidence: 'remote', process: null, address: '127.0.0.1', by: 'activity' })

  // Wait longer than the engine takes, so that the first no longer counts.
  await new Promise((resolve) => setTimeout(resolve, 2_500))
  const here = client(port, 'exec', 'box', 'true', 'here')
  await here.exited
  const [, second] = await until(() => callersOf(id).length >= 2 && callersOf(id))
  t.like(second?.caller, { confidence: 'remote', process: { pid: here.process.pid }, by: 'activity' })

  const [a, b] = [client(port, 'exec', 'box', 'true', 'a'), client(farPort, 'exec', 'box', 'true', 'b')]
  await Promise.all([a.exited, b.exited])
  const [, , ...both] = await until(() => callersOf(id).length >= 4 && callersOf(id))
  const execs = new Map(execsOf(id).map(({ execId, argv, time }) => [execId, { word: argv[1], time }]))
  const times = both.map(({ execId }) => execs.get(execId)?.time ?? 0)
  // On a slow host they may be so far apart that each counts alone.
  const isTogether = Math.abs((times[0] ?? 0) - (times[1] ?? 0)) < 1_000
  for (const { execId, caller } of both) {
    if (isTogether) t.like(caller, { confidence: 'ambiguous', client: 'unclear', process: null })
    if (caller.confidence === 'ambiguous') t.true((caller.candidates?.length ?? 0) >= 2)
    else t.is(caller.process?.pid, execs.get(execId)?.word === 'a' ? (a.process.pid ?? 0) : undefined)
  }
})

async function engineWithContainer(t: ExecutionContext, options: readonly string[]) {
  const engine = await privateEngine([`--host=tcp://127.0.0.1:${port}`, ...options])
  t.teardown(() => engine.remove())
  await redirect(engine)
  const id = await engine.docker(
    'run',
    '-d',
    '--stop-timeout=1',
    '--name',
    'box',
    await busyboxImage(),
    'sleep',
    '600',
  )
  const { callersOf, execsOf, seen } = await watchCallersOf(t, engine.host)
  t.teardown(() => {
    if (!t.passed) t.log(JSON.stringify(seen().filter(({ observation: { kind } }) => kind === 'exec-caller')))
  })
  return { engine, id: id.trim(), callersOf, execsOf }
}

function redirect({ network }: PrivateEngine): Promise<string> {
  const rule = ['-p', 'tcp', '-d', '127.0.0.1', '--dport', farPort]
  return run(
    ...(['nsenter', `--net=${network}`, 'iptables', '-t', 'nat', '-A', 'OUTPUT', ...rule] as const),
    ...['-j', 'DNAT', '--to-destination', `127.0.0.1:${port}`],
  )
}
