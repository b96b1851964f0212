import { existsSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { json, text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import anyTest, { type ExecutionContext, type TestFn } from 'ava'
import type { Finding } from '../../agent/model/finding.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { type Daemon, removeState, startDaemon, startDaemonFor, logIfFailed } from '../support/daemon.ts'
import { docker as tryDocker, removeContainers } from '../support/docker.ts'
import { docker, run } from '../support/processes.ts'
import { forEachInParallel, fullRunCount, until } from '../support/until.ts'

// Entering real containers through the engine and without it; checks the final findings in the store.

type Context = { daemon: Daemon; image: string }
const test = anyTest as TestFn<Context>
const serial = test.serial
const prefix = `tidewatch-test-execs-${process.pid}`
const detector = 'exec-into-container'
let containers = 0

test.before(async (t) => {
  const image = await busyboxImage()
  t.context = { image, daemon: await startDaemon() }
})

test.afterEach.always((t) => logIfFailed(t, t.context.daemon))

test.after.always(async (t) => {
  await removeContainers(prefix)
  await t.context.daemon.stop()
  await removeState(t.context.daemon)
})

type Container = { name: string; id: string; pid: string }

/** Starts a sleeping container. */
async function runContainer(t: ExecutionContext<Context>, ...options: string[]): Promise<Container> {
  const name = `${prefix}-${(containers += 1)}`
  const sleeping = [t.context.image, 'sleep', '600']
  const id = (await docker('run', '-d', '--network=none', '--name', name, ...options, ...sleeping)).trim()
  const pid = (await docker('inspect', '--format', '{{.State.Pid}}', name)).trim()
  return { name, id, pid }
}

function rulesOf({ context: { daemon } }: ExecutionContext<Context>, container: string): string[] {
  return daemon.findings({ container, detector }).map(({ rule }) => rule)
}

function criticalOf({ context: { daemon } }: ExecutionContext<Context>, container: string): Finding[] {
  return daemon.findings({ container }).filter(({ severity }) => severity === 'critical')
}

/** Waits until earlier entries have been judged: until a later one is reported. */
async function settled(t: ExecutionContext<Context>): Promise<void> {
  const { name, pid } = await runContainer(t)
  await run('nsenter', '-t', pid, '-m', 'true')
  await until(() => rulesOf(t, name).includes('untracked-exec'))
}

const many = fullRunCount(100)
const isFailed = ({ argv }: Finding['evidence']) => (argv as string[])[0] === '/no/such/program'

serial(
  `${many} execs of all kinds are ${many} findings with the engine’s exec IDs and exit codes`,
  async (t) => {
    const { daemon } = t.context
    const { name } = await runContainer(t)
    const exit = (code: number, mark: string) => ['sh', '-c', `exit ${code} # ${mark}`]
    const ways: ((n: number) => Promise<[string, number]>)[] = [
      async (n) => {
        await tryDocker('exec', name, ...exit(n % 5, `plain-${n}`))
        return ['', n % 5]
      },
      async (n) => {
        await tryDocker('exec', '--detach', name, ...exit(3, `detached-${n}`))
        return ['', 3]
      },
      async (n) => {
        await run('script', '-qec', `docker exec -it ${name} sh -c 'exit 0 # tty-${n}'`, '/dev/null')
        return ['', 0]
      },
      async (n) => [await execByApi(name, exit(4, `socket-${n}`)), 4],
      async (n) => {
        // 126 or 127, depending on the version of the runtime.
        return ['', (await tryDocker('exec', name, '/no/such/program', `failed-${n}`)).exitCode]
      },
    ]
    const marks = ['plain', 'detached', 'tty', 'socket', 'failed']
    const expected = new Map<string, [string, number]>()
    const work = Array.from({ length: many }, (_, n) => n)
    const client = async () => {
      for (let n = work.shift(); n !== undefined; n = work.shift()) {
        const way = ways[n % ways.length]
        if (way !== undefined) expected.set(`${marks[n % ways.length]}-${n}`, await way(n))
      }
    }
    await Promise.all([client(), client(), client(), client()])

    const found = () => daemon.findings({ container: name, detector })
    // The exit code comes from the engine, the programs and the caller from the kernel.
    const isComplete = ({ evidence }: Finding) =>
      'exit_code' in evidence && 'caller' in evidence && ('programs' in evidence || isFailed(evidence))
    await until(() => found().filter(isComplete).length >= many, 30_000)
    t.is(found().length, many)
    t.is(new Set(found().map(({ evidence }) => evidence['exec_id'])).size, many)
    for (const [mark, [execId, exitCode]] of expected) {
      const finding = found().find(({ evidence }) =>
        (evidence['argv'] as string[]).some((argument) => argument.endsWith(mark)),
      )
      t.is(finding?.evidence['exit_code'], exitCode, mark)
      if (execId !== '') t.is(finding?.evidence['exec_id'], execId, mark)
      const programs = (finding?.evidence['programs'] ?? []) as { argv: string[] }[]
      if (!mark.startsWith('failed')) t.true(programs[0]?.argv.at(-1)?.endsWith(mark), mark)
      t.is(typeof finding?.evidence['duration_seconds'], 'number', mark)
      const caller = finding?.evidence['caller'] as { confidence: string; pid: number; argv: string[] }
      t.is(caller.confidence, 'exact', mark)
      if (execId === '') t.true(caller.argv.join(' ').includes(mark), caller.argv.join(' '))
      else t.is(caller.pid, process.pid, mark)
    }
  },
)

serial(
  'entering without the engine is an untracked exec, and the same command with docker exec is not',
  async (t) => {
    const { daemon } = t.context
    const runc = ['runc', '--root', '/run/docker/runtime-runc/moby']
    const sockets = ['/run/docker/containerd/containerd.sock', '/run/containerd/containerd.sock']
    const ctr = ['ctr', '--address', sockets.find(existsSync) ?? '', '--namespace', 'moby']
    const nsenter = ({ pid }: Container) => ['nsenter', '--target', pid]
    const ways: [string, (container: Container) => string[]][] = [
      ['runc', ({ id }) => [...runc, 'exec', id, 'echo']],
      ['runc', ({ id }) => [...ctr, 'task', 'exec', '--exec-id', 'by-hand', id, 'echo']],
      ['nsenter', (one) => [...nsenter(one), '--mount', 'echo']],
      ['nsenter', (one) => [...nsenter(one), '--pid', 'echo']],
      ['nsenter', (one) => [...nsenter(one), '--mount', '--pid', '--uts', '--ipc', '--net', 'echo']],
      ['nsenter', (one) => [...nsenter(one), '--all', 'echo']],
      ['chroot', ({ pid }) => ['chroot', `/proc/${pid}/root`, 'echo']],
    ]
    async function enter([tool, commandFor]: (typeof ways)[number]): Promise<void> {
      const container = await runContainer(t)
      const [program = '', ...args] = commandFor(container)
      await run(program, ...args, 'entered')
      await docker('exec', container.name, 'echo', 'entered')
      await until(() => rulesOf(t, container.name).length === 2)
      t.deepEqual(rulesOf(t, container.name).toSorted(), ['exec-command', 'untracked-exec'], args.join(' '))
      const finding = daemon
        .findings({ container: container.name })
        .find(({ rule }) => rule === 'untracked-exec')
      t.like(finding?.evidence, { tool, argv: ['echo', 'entered'], tool_user: 'root' }, args.join(' '))
      t.true(((finding?.evidence['ancestry'] ?? []) as string[]).length > 1)
    }
    await forEachInParallel(ways, enter)
  },
)

serial('a process that imitates the ID of a running or never-started exec is still untracked', async (t) => {
  const { id, name, pid } = await runContainer(t)
  const created = await post(`/containers/${name}/exec`, { Cmd: ['true'] })
  const { Id: unstarted } = (await json(created)) as { Id: string }
  await docker('exec', '--detach', name, 'sleep', '60')
  const [running] = await until(() => {
    const found = t.context.daemon.findings({ container: name, detector })
    return found[0]?.evidence['programs'] !== undefined && found
  })
  for (const execId of [unstarted, running?.evidence['exec_id'] as string]) {
    const disguise = ['exec', '--pid-file', `/run/${id}/${execId}.pid`, id]
    await run('nsenter', '-t', pid, '-m', '-p', 'sh', '-c', 'sleep 0.1; true', ...disguise)
  }
  await until(() => criticalOf(t, name).length === 2)
  t.deepEqual(new Set(criticalOf(t, name).map(({ rule }) => rule)), new Set(['untracked-exec']))
})

serial('an entry has the login user, even if the user ID has changed since the login', async (t) => {
  const { name, pid } = await runContainer(t)
  const login = 'echo 1 > /proc/self/loginuid; nsenter -t "$0" -m -p sh -c "sleep 0.1; true"'
  await run('sh', '-c', login, pid)
  const [finding] = await until(() => {
    const found = criticalOf(t, name)
    return found.length > 0 && found
  })
  t.like(finding, { rule: 'untracked-exec', evidence: { tool_user: 'root', login_user: 'daemon' } })
  const ancestry = (finding?.evidence['ancestry'] ?? []) as string[]
  t.true(ancestry.length > 1 && ancestry.every((line) => line.includes(' as root')))
})

serial('entering the host’s mount namespace or root from a container is one finding each', async (t) => {
  const { daemon } = t.context
  const capabilities = ['--cap-add=SYS_ADMIN', '--cap-add=SYS_PTRACE']
  // Docker's default AppArmor profile would prevent it.
  const rights = [...capabilities, '--security-opt=apparmor=unconfined', '--pid=host', '--volume=/:/host:ro']
  const { name } = await runContainer(t, ...rights)
  const host = ['-t', String(process.pid), '-m']
  await docker('exec', name, 'busybox', 'nsenter', ...host, '/bin/sh', '-c', 'sleep 0.1; sleep 0.2; true')
  await docker('exec', name, 'busybox', 'chroot', '/host', '/bin/sh', '-c', 'sleep 0.3; sleep 0.4; true')
  await settled(t)
  const found = daemon.findings({ container: name }).filter(({ rule }) => rule === 'host-namespace-entered')
  t.deepEqual(new Set(found.map(({ evidence }) => evidence['entered'])), new Set(['mount-namespace', 'root']))
  t.is(found.length, 2)
})

serial('a client in a container is named as that container', async (t) => {
  const { daemon } = t.context
  const target = await runContainer(t)
  const client = await runContainer(t, '--volume=/:/host')
  await docker('exec', client.name, 'busybox', 'chroot', '/host', 'docker', 'exec', target.name, 'true')
  const finding = await until(() =>
    daemon
      .findings({ container: target.name, detector })
      .find(({ evidence }) => typeof evidence['exit_code'] === 'number'),
  )
  t.deepEqual(rulesOf(t, target.name), ['exec-from-container'])
  t.like(finding.evidence['caller'], { container: client.name, user: 'root', confidence: 'exact' })
})

serial(
  'an exec that failed to start is worded as an attempt, a shell whose command failed is not',
  async (t) => {
    const { name } = await runContainer(t)
    const commands = [
      ['exec', name, '/no/such/shell/sh'],
      ['exec', '--workdir', '/no/such/folder', name, 'sh', '-c', 'id'],
      ['exec', '--user', 'no-such-user', name, 'sh', '-c', 'true'],
      ['exec', name, 'sh', '-c', 'no-such-program'],
    ]
    for (const args of commands) await tryDocker(...args)
    const summaries = () =>
      t.context.daemon.findings({ container: name, detector }).map(({ summary }) => summary)
    await until(() => summaries().filter((summary) => summary.includes('(exit 12')).length === 4, 30_000)
    const results = summaries().map((summary) => summary.replace(/^.*? (tried|ran) /, '$1 '))
    t.is(
      results.filter((result) => /^tried .*; it failed \(exit 12[67]\)$/.test(result)).length,
      3,
      results.join('\n'),
    )
    t.true(
      results.some((result) => /^ran `sh -c no-such-program` .*\(exit 127 after /.test(result)),
      results.join('\n'),
    )
  },
)

serial('two commands of one program are two findings, and the same command again is a repeat', async (t) => {
  const daemon = await startDaemonFor(t, { config: { policy: { throttle: { fold: '5m' } } } })
  const { name } = await runContainer(t)
  for (const word of ['deploy', 'other', 'deploy']) await docker('exec', name, 'sh', '-c', `echo ${word}`)
  const counts = () =>
    daemon
      .findings({ container: name, detector })
      .map(({ evidence, count }) => [JSON.stringify(evidence['argv']), count] as const)
  await until(() => counts().reduce((sum, [, count]) => sum + count, 0) === 3)
  t.deepEqual(
    new Set(counts()),
    new Set([['["sh","-c","echo deploy"]', 2] as const, ['["sh","-c","echo other"]', 1] as const]),
  )
})

serial('a copy in either direction is one finding', async (t) => {
  const { name } = await runContainer(t)
  await docker('cp', '/etc/hostname', `${name}:/tmp/copied`)
  await docker('cp', `${name}:/tmp/copied`, '-')
  await until(() => rulesOf(t, name).length === 2)
  t.deepEqual(rulesOf(t, name), ['file-copy', 'file-copy'])
})

serial('ordinary operation of a host causes no critical finding', async (t) => {
  const { image } = t.context
  const first = await runContainer(t, '--pid=host')
  const second = await runContainer(t)
  const third = await runContainer(t, `--pid=container:${second.name}`)
  const all = [first, second, third]
  await forEachInParallel(all, async ({ name }) => {
    // Leaves an orphan in each container, which is adopted by the init of its pid namespace.
    await docker('exec', name, 'sh', '-c', '(sleep 2; true) & exit')
    await docker('top', name)
    await docker('stats', '--no-stream', name)
    await docker('cp', '/etc/hostname', `${name}:/tmp/copied`)
  })
  const copy = (await docker('commit', second.name)).trim()
  await docker('rmi', copy)
  for (const { name } of [first, third, second]) await docker('restart', '--time', '0', name)
  const name = `${prefix}-${(containers += 1)}`
  await docker(
    'run',
    '--rm',
    '--network=none',
    '--name',
    name,
    '--init',
    image,
    'sh',
    '-c',
    'sleep 0.1 & wait',
  )
  await settled(t)
  for (const one of [...all.map((container) => container.name), name])
    t.deepEqual(criticalOf(t, one), [], one)
})

serial('building an image with commands as root causes no critical finding', async (t) => {
  const { daemon, image } = t.context
  const tag = `${prefix}:built`
  const steps = ['cp /bin/busybox /bin/su-like && chmod 4755 /bin/su-like', 'sleep 0.2; id; (sleep 0.5 &)']
  const dockerfile = [`FROM ${image}`, ...steps.map((step) => `RUN ${step}`), 'USER 1000', 'RUN id'].join(
    '\n',
  )
  const build = 'printf %s "$1" | DOCKER_BUILDKIT=0 docker build --no-cache --tag "$2" -'
  const output = await run('sh', '-c', build, 'sh', dockerfile, tag)
  t.teardown(() => tryDocker('rmi', '--force', tag))
  const ids = [...output.matchAll(/Running in ([0-9a-f]{12})/g)].map(([, id = '']) => id)
  t.is(ids.length, 4)
  await settled(t)
  const alerts = daemon.findings().filter(({ severity }) => severity !== 'info')
  t.deepEqual(
    alerts.filter(({ container }) => ids.includes(container?.id.slice(0, 12) ?? '')),
    [],
  )
})

serial('a daemon that starts when containers and execs already run reports nothing critical', async (t) => {
  const { name } = await runContainer(t)
  const { name: hostPid } = await runContainer(t, '--pid=host')
  for (const one of [name, hostPid]) {
    await docker('exec', '--detach', one, 'sleep', '600')
    await docker('exec', '--detach', one, 'sh', '-c', 'while :; do sleep 0.5; done')
    await docker('exec', one, 'sh', '-c', 'sleep 600 & exit')
  }
  const daemon = await startDaemonFor(t)
  await docker('exec', name, 'true', 'last')
  await until(() => daemon.findings({ container: name }).some(({ summary }) => summary.includes('true last')))
  await sleep(3_000)
  const critical = daemon.findings().filter(({ severity }) => severity === 'critical')
  t.deepEqual(
    critical.filter((finding) => [name, hostPid].includes(finding.container?.name ?? '')),
    [],
  )
})

/** Runs an exec through the HTTP API; resolves to its ID. */
async function execByApi(container: string, argv: readonly string[]): Promise<string> {
  const created = await post(`/containers/${container}/exec`, { Cmd: argv })
  const { Id: id } = (await json(created)) as { Id: string }
  await text(await post(`/exec/${id}/start`, { Detach: true }))
  return id
}

async function post(path: string, body: object): Promise<IncomingMessage> {
  return await new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' }
    const sent = request({ socketPath: '/var/run/docker.sock', method: 'POST', path, headers }, resolve)
    sent.on('error', reject)
    sent.end(JSON.stringify(body))
  })
}
