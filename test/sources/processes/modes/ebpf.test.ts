import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, copyFile, mkdir, rm, rmdir, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { busyboxImage } from '../../../support/busybox-image.ts'
import { temporaryDirectory } from '../../../support/temporary-directory.ts'
import { docker, runContainer } from '../../../support/docker.ts'
import { rightsImage } from '../../../support/rights-image.ts'
import { forEachInParallel, scaled, until } from '../../../support/until.ts'
import { cgroupDirectory, cgroupRootOf } from '../cgroup-directory.ts'
import { watchProcesses } from '../watch.ts'

const run = promisify(execFile)

// Serial, because they load the same two processors.
const serial = test.serial

serial('every exec of short-lived containers is attributed, with all identifying data', async (t) => {
  const { of, losses } = await watchProcesses(t, { mode: 'ebpf' })
  const image = await busyboxImage()
  const names = Array.from({ length: scaled(20) }, () => nameOf(t))
  for (const name of names) {
    await docker('run', '--rm', '--network=none', '--name', name, '--user', '1000:100', image, 'true', name)
  }
  const ran = (name: string) => of(name).find(({ process }) => process.argv[1] === name)
  await until(() => names.every((name) => ran(name) !== undefined))

  for (const name of names) {
    const { change, origin, process, container } = ran(name) ?? t.fail()
    t.is(change, 'executed')
    t.deepEqual(origin, { via: 'init' })
    t.deepEqual(process.argv, ['true', name])
    t.is(process.exe, '/bin/busybox')
    t.deepEqual([process.uid, process.euid, process.gid], [1000, 1000, 100])
    t.is(process.capabilities, 0n)
    t.is(process.workingDirectory, '/')
    t.true(process.cgroup.includes(container.id))
    t.is(of(name).length, 1)
  }
  t.deepEqual(losses(), [])
})

serial('bursts of short programs from an exec are reported completely', async (t) => {
  const { of, losses } = await watchProcesses(t, { mode: 'ebpf' })
  const { name } = await runContainer(t)
  const loop = 'i=0; while [ $i -lt 50 ]; do /bin/true burst-$j-$i; i=$((i+1)); done'
  await docker('exec', name, 'sh', '-c', `for j in 1 2 3 4 5 6 7 8; do (${loop}) & done; wait`)
  const burst = () => of(name).filter(({ process }) => process.argv[1]?.startsWith('burst-') === true)
  await until(() => burst().length >= 400)

  t.is(new Set(burst().map(({ process }) => process.argv[1])).size, 400)
  t.true(burst().every(({ origin, process }) => origin.via === 'entered' && process.exe === '/bin/busybox'))
  const entries = burst().map(({ origin }) => (origin.via === 'entered' ? origin.entry.pid : 0))
  t.is(new Set(entries).size, 1)
  t.deepEqual(losses(), [])
})

serial(
  'a setuid program that exits immediately with its container is reported with file origin and status',
  async (t) => {
    const { of, losses } = await watchProcesses(t, { mode: 'ebpf' })
    const image = `${nameOf(t)}:1`
    const { remove } = await rightsImage(image)
    t.teardown(remove)
    const directory = await temporaryDirectory()
    t.teardown(() => rm(directory, { recursive: true, force: true }))
    await chmod(directory, 0o755)
    await copyFile('/bin/busybox', join(directory, 'busybox'))
    await chmod(join(directory, 'busybox'), 0o4755)
    const asUser = '/bin/setuid; /tmp/added; /run/added; /opt/tools/busybox true; /proc/self/fd/3'
    const script = [
      'for file in /tmp/added /run/added /tmp/deleted; do cp /bin/plain $file; chmod 4755 $file; done',
      'exec 3</tmp/deleted; rm /tmp/deleted',
      `/bin/plain drop-root /bin/sh -c "${asUser}"`,
    ].join('; ')
    const names = Array.from({ length: scaled(6) }, () => nameOf(t))
    const options = ['--network=none', '--tmpfs=/run:exec,suid', `--volume=${directory}:/opt/tools:ro`]
    await forEachInParallel(names, async (name) => {
      await docker('run', '--rm', '--name', name, ...options, image, 'sh', '-c', `${script}; true`)
    })
    const gains = (name: string) =>
      of(name).flatMap(({ change, gain, process: { exe } }) =>
        change === 'executed' && gain?.isNew === true
          ? [[exe, gain.way, gain.file.origin, gain.file.status]]
          : [],
      )
    await until(() => names.every((name) => gains(name).length >= 5)).catch((error: unknown) => {
      t.log(losses(), names.map(gains))
      throw error
    })
    const status = { owner: 0, mode: 0o4755, hasCapabilities: null }
    for (const name of names) {
      t.deepEqual(gains(name), [
        ['/bin/setuid', 'file', 'image', status],
        ['/tmp/added', 'file', 'container', status],
        ['/run/added', 'file', 'tmpfs', status],
        ['/opt/tools/busybox', 'file', 'volume', status],
        ['/tmp/deleted (deleted)', 'file', 'container', status],
      ])
    }
  },
)

serial('a process that changes its uid without an exec is reported', async (t) => {
  const { of } = await watchProcesses(t, { mode: 'ebpf' })
  const { name } = await runContainer(t)
  // busybox drops to the user before it runs the program, so the change comes first.
  await docker(
    'exec',
    name,
    'sh',
    '-c',
    'echo x:x:1234:1234::/:/bin/sh > /etc/passwd; su x -c "true changed"',
  )
  await until(() => of(name).some(({ change }) => change === 'ids-changed'))
  const changed = of(name).find(({ change }) => change === 'ids-changed')
  t.is(changed?.process.uid, 1234)
  t.is(changed?.process.euid, 1234)
  t.is(changed?.process.capabilities, 0n)
  // It is reported through another channel than the following exec, and must precede it.
  await until(() => of(name).at(-1)?.process.argv[0] === 'sh')
  const reported = of(name).filter(({ process }) => process.pid === changed?.process.pid)
  t.deepEqual(
    reported.slice(-3).map(({ change, process }) => [change, process.argv[0], process.uid]),
    [
      ['executed', 'su', 0],
      ['ids-changed', 'su', 1234],
      ['executed', 'sh', 1234],
    ],
  )
})

serial('deceptive arguments are reported unchanged, and truncated ones are marked', async (t) => {
  const { of } = await watchProcesses(t, { mode: 'ebpf' })
  const { name } = await runContainer(t)
  const long = 'x'.repeat(100_000)
  await docker('exec', name, '/bin/echo', 'line\nbreak', '\u001b[2J', '', 'é')
  await docker('exec', name, 'sh', '-c', `/bin/echo "$(printf 'bad-\\377')"`)
  await docker('exec', name, '/bin/echo', 'long', long)
  await until(() => of(name).some(({ process }) => process.argv[1] === 'long'))
  const argvs = of(name).map(({ process }) => process.argv)
  t.deepEqual(argvs.find((argv) => argv[1]?.startsWith('line') === true)?.slice(1), [
    'line\nbreak',
    '\u001b[2J',
    '',
    'é',
  ])
  t.true(argvs.some((argv) => argv[0] === '/bin/echo' && argv[1] === 'bad-\ufffd'))
  const cut = of(name).find(({ process }) => process.argv[1] === 'long')?.process
  t.true(cut?.argvTruncated)
  t.true((cut?.argv.join('\0').length ?? 0) >= 1_024)
})

serial(
  'a process in a nested cgroup, or one that has left the container’s cgroup, still belongs to the container',
  async (t) => {
    const { of } = await watchProcesses(t, { mode: 'ebpf' })
    const { name, id } = await runContainer(
      t,
      [],
      ['sh', '-c', 'while :; do [ -e /go ] && /bin/true moved; sleep 0.1; done'],
    )
    const init = Number((await docker('inspect', '--format', '{{.State.Pid}}', id)).stdout)
    const own = cgroupDirectory(init)
    const nested = join(own, 'nested')
    await mkdir(nested)
    t.teardown(async () => {
      await docker('rm', '--force', name)
      await rmdir(nested).catch(() => undefined)
    })

    await writeFile(join(nested, 'cgroup.procs'), String(init))
    await docker('exec', name, 'touch', '/go')
    const moved = () => of(name).filter(({ process }) => process.argv[1] === 'moved')
    await until(() => moved().some(({ process }) => process.cgroup.endsWith('/nested')))

    await writeFile(join(cgroupRootOf(own), 'cgroup.procs'), String(init))
    await until(() => moved().some(({ process }) => !process.cgroup.includes(id)))
    t.true(moved().every(({ origin }) => origin.via === 'init'))
  },
)

serial(
  'a program that enters by namespaces only belongs to the container, with the origin entered',
  async (t) => {
    const { of } = await watchProcesses(t, { mode: 'ebpf' })
    const { name, id } = await runContainer(t)
    await until(() => of(name).length > 0)
    const init = (await docker('inspect', '--format', '{{.State.Pid}}', id)).stdout.trim()
    await run('nsenter', ['--target', init, '--mount', '/bin/true', 'by-mount'])
    // A pid namespace applies only to children created after setns(2), so nsenter forks.
    await run('nsenter', ['--target', init, '--pid', '/bin/sh', '-c', 'exit 0 # by-pid'])
    await until(() => of(name).filter(({ origin }) => origin.via === 'entered').length >= 2)
    const entered = of(name).filter(({ origin }) => origin.via === 'entered')
    t.true(entered.some(({ process }) => process.argv[1] === 'by-mount' && process.exe === '/bin/busybox'))
    t.true(entered.some(({ process }) => process.argv[2] === 'exit 0 # by-pid'))
    t.true(entered.every(({ process }) => !process.cgroup.includes(id)))
  },
)

serial(
  'the runtime that started an exec is among the ancestors of its process, with its arguments',
  async (t) => {
    const { of, table } = await watchProcesses(t, { mode: 'ebpf' })
    const { name } = await runContainer(t)
    await docker('exec', name, '/bin/true', 'traced')
    await until(() => of(name).some(({ process }) => process.argv[1] === 'traced'))
    const traced = of(name).find(({ process }) => process.argv[1] === 'traced') ?? t.fail()
    const known = table.at(traced.process.pid, traced.time)
    const runtime = table
      .ancestors(known ?? t.fail())
      .find((one) => one.program().argv.includes('--pid-file'))
    t.is(runtime?.membership, null)
    t.true(runtime?.program().argv.includes('exec'))
  },
)

serial('an image build step is attributed to the build, not to a container', async (t) => {
  const { of } = await watchProcesses(t, { mode: 'ebpf' })
  const nonce = randomBytes(5).toString('hex')
  await buildImage(t, `FROM ${await busyboxImage()}\nRUN /bin/true ${nonce}\n`)
  await until(() => of('build').some(({ process }) => process.argv[1] === nonce))
  const step = of('build').find(({ process }) => process.argv[1] === nonce)
  t.is(step?.container.image, '')
  t.deepEqual(step?.origin, { via: 'init' })
})

serial('an exited process is remembered with its exit code', async (t) => {
  const { of, table } = await watchProcesses(t, { mode: 'ebpf' })
  const { name } = await runContainer(t)
  const exitOf = (end: string) => {
    const seen = of(name).find(({ process }) => process.argv[2]?.endsWith(end) === true)
    return seen === undefined ? undefined : table.at(seen.process.pid, seen.time)?.exit?.code
  }
  // Looked up immediately: an exited process is remembered for 5 seconds, and an emulated host takes longer for an
  // exec.
  await docker('exec', name, 'sh', '-c', 'exit 7 # code')
  t.deepEqual(await until(() => exitOf('# code')), { status: 7, signal: 0 })
  await docker('exec', name, 'sh', '-c', 'kill -9 $$ # signal')
  t.deepEqual(await until(() => exitOf('# signal')), { status: 0, signal: 9 })
})

serial(
  'a container over its budget is named, and hides neither its own other users nor other containers',
  async (t) => {
    const { of, losses } = await watchProcesses(t, { mode: 'ebpf', budget: 300 })
    const noisy = await runContainer(t)
    const quiet = await runContainer(t)
    const noise = docker(
      'exec',
      noisy.name,
      'sh',
      '-c',
      'i=0; while [ $i -lt 1500 ]; do /bin/true; i=$((i+1)); done',
    )
    await sleep(300)
    await docker('exec', quiet.name, '/bin/true', 'heard')
    await docker('exec', '--user', '4321', noisy.name, '/bin/true', 'other-user')
    await noise
    await until(() => losses().some(({ container }) => container?.name === noisy.name))
    await until(() => of(quiet.name).some(({ process }) => process.argv[1] === 'heard'))
    await until(() => of(noisy.name).some(({ process }) => process.argv[1] === 'other-user'))
    // Containers of other tests may be over budget, too.
    const ours = losses().filter(({ container }) => [noisy.name, quiet.name].includes(container?.name ?? ''))
    t.true(ours.length > 0)
    t.true(ours.every(({ reason, container }) => reason === 'over-budget' && container?.name === noisy.name))
  },
)

/** Builds with the engine's BuildKit from a context that it fetches from us: the docker CLI would need a plugin. */
async function buildImage(t: ExecutionContext, dockerfile: string): Promise<void> {
  const server = createServer((_request, response) => response.end(dockerfile)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const remote = encodeURIComponent(`http://127.0.0.1:${port}/Dockerfile`)
  const tag = nameOf(t)
  t.teardown(() => docker('rmi', '--force', tag))
  const path = `/v1.41/build?version=2&nocache=1&t=${tag}&remote=${remote}`
  const building = request({ socketPath: '/var/run/docker.sock', method: 'POST', path })
  building.end()
  const [response] = (await once(building, 'response')) as [IncomingMessage]
  await text(response)
}

function nameOf(t: ExecutionContext): string {
  const name = `tidewatch-test-processes-${randomBytes(5).toString('hex')}`
  t.teardown(() => docker('rm', '--force', name))
  return name
}
