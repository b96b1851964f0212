import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import type { ProcessObservation } from '../../../../agent/model/observation.ts'
import { cgroupOf } from '../../../../agent/sources/processes/attribution/cgroup.ts'
import { deviceNumber } from '../../../../agent/linux/device-number.ts'
import { execIdIn } from '../../../../agent/sources/processes/attribution/entry-ancestry.ts'
import { docker, runContainer } from '../../../support/docker.ts'
import { sampleContainer } from '../../../support/samples.ts'
import { scaled, until } from '../../../support/until.ts'
import { procStat } from '../fake-proc.ts'
import { hostNamespaces, inContainer, running, seenProcess, watched } from '../samples.ts'
import { watchProcesses } from '../watch.ts'

const run = promisify(execFile)
const serial = test.serial

const id = 'a'.repeat(64)
const other = 'b'.repeat(64)
const execId = 'e'.repeat(64)
const pidFile = `/run/containerd/moby/${id}/${execId}.pid`
const runc = ['runc', '--root', '/run/x', 'exec', '--process', '/tmp/p', '--pid-file', pidFile, id]

test('an exec id is read from the arguments of the runtime, not from those of the requested command', (t) => {
  const table: [string, readonly string[], string][] = [
    ['the engine’s', runc, execId],
    ['another runtime', ['crun', ...runc.slice(1)], execId],
    ['with an id chosen by ctr', runc.with(7, `/run/containerd/moby/${id}/mine.pid`), ''],
    ['another container’s', runc.with(7, `/run/containerd/moby/${other}/${execId}.pid`), ''],
    ['after the container id', ['runc', 'exec', id, 'sh', '--pid-file', pidFile, id], ''],
    ['not an exec', runc.with(3, 'create'), ''],
    ['without a pid file', ['runc', 'exec', id, 'true'], ''],
    ['cut', runc.slice(0, 7), ''],
    ['nothing', [], ''],
  ]
  for (const [what, argv, found] of table) t.is(execIdIn(argv, id), found, what)
})

const web = sampleContainer({ id, name: 'web', details: { pid: 200 } })
const shop = sampleContainer({ id: other, name: 'shop', details: { pid: 210 } })
const init = seenProcess({ pid: 200, startTicks: 600, ...inContainer(id), program: running('app') })
const originOf = ({ origin }: ProcessObservation) => (origin.via === 'entered' ? origin : undefined)

function sample(t: ExecutionContext, procRoot?: string) {
  const all = watched([web, shop], procRoot)
  t.teardown(() => all.tracker.close())
  all.tracker.executed(init, 6_000)
  return all
}

test('the entry ancestry lists programs nearest first, without plain forks, and is inherited by descendants', (t) => {
  const { tracker, observed } = sample(t)
  const fork = { uid: 0, euid: 0 }
  tracker.executed(seenProcess({ pid: 50, startTicks: 100, program: running('shim') }), 1_000)
  tracker.forked({ ...fork, pid: 300, startTicks: 700, parentPid: 50, creatorPid: 50 }, 7_000)
  tracker.executed(
    seenProcess({ pid: 300, startTicks: 700, parentPid: 50, program: running(...runc) }),
    7_001,
  )
  tracker.forked({ ...fork, pid: 301, startTicks: 701, parentPid: 300, creatorPid: 300 }, 7_010)
  tracker.forked({ ...fork, pid: 302, startTicks: 702, parentPid: 50, creatorPid: 301 }, 7_020)
  tracker.exited(301, 701, 7_021, null)
  tracker.exited(300, 700, 7_022, null)
  const entered = { pid: 302, startTicks: 702, parentPid: 50, ...inContainer(id) }
  tracker.executed(seenProcess({ ...entered, program: running('sh') }), 7_030)
  tracker.forked({ ...fork, pid: 303, startTicks: 900, parentPid: 302, creatorPid: 302 }, 9_000)
  tracker.executed(
    seenProcess({ pid: 303, startTicks: 900, parentPid: 302, ...inContainer(id), program: running('id') }),
    9_001,
  )
  for (const seen of observed().slice(1)) {
    t.is(originOf(seen)?.execId, execId)
    t.deepEqual(
      originOf(seen)?.by.map(({ pid, argv }) => [pid, argv[0]]),
      [
        [300, 'runc'],
        [50, 'shim'],
      ],
    )
  }
})

test('an exec id on the command line of a process in a container is ignored', (t) => {
  const { tracker, observed } = sample(t)
  const ofShop = { ...inContainer(other, 2), program: running(...runc) }
  tracker.executed(seenProcess({ pid: 210, startTicks: 650, ...ofShop }), 6_500)
  tracker.forked({ pid: 211, startTicks: 660, parentPid: 210, creatorPid: 210, uid: 0, euid: 0 }, 6_600)
  const intoWeb = seenProcess({ pid: 211, startTicks: 660, parentPid: 210, ...inContainer(id) })
  tracker.executed({ ...intoWeb, cgroup: inContainer(other).cgroup }, 6_601)
  const seen = observed().at(-1)
  t.is(seen?.container.name, 'web')
  t.is(seen && originOf(seen)?.execId, '')
  t.is(seen && originOf(seen)?.by[0]?.containerId, other)
})

test('a program whose executable is on a container’s root belongs to the container, whatever its namespaces are', async (t) => {
  const { procRoot, write } = await procDirectory(t)
  await write('200/mountinfo', '500 400 0:57 / / rw - overlay overlay rw\n')
  const { tracker, observed } = sample(t, procRoot)
  tracker.executed(seenProcess({ pid: 400, exeDevice: deviceNumber(0, 57) }), 7_000)
  t.is(observed().at(-1)?.container.name, 'web')
  t.is(observed().at(-1)?.origin.via, 'entered')
  t.is(observed().at(-1)?.hostFiles, null)
  tracker.exited(200, 600, 8_000, null)
  tracker.executed(seenProcess({ pid: 401, exeDevice: deviceNumber(0, 57) }), 9_000)
  t.is(observed().length, 2)
})

test('an engine inside a container, its runtime and its containers belong to the outer container', (t) => {
  const { tracker, observed } = sample(t)
  const inner = 'd'.repeat(64)
  const innerPlace = {
    cgroup: cgroupOf(['docker', id, 'docker', inner]),
    namespaces: inContainer(inner, 9).namespaces,
  }
  const line: [number, number, string[], object][] = [
    [300, 200, ['dockerd'], inContainer(id)],
    [301, 300, ['containerd-shim-runc-v2', '-id', inner], inContainer(id)],
    [302, 301, ['runc', 'create', '--bundle', 'b', inner], inContainer(id)],
    [303, 302, ['runc', 'init'], inContainer(id)],
    [304, 301, ['app'], innerPlace],
    [305, 301, ['runc', 'exec', '--pid-file', `/b/${inner}/${'e'.repeat(64)}.pid`, inner], inContainer(id)],
    [306, 305, ['sh'], innerPlace],
    [307, 300, ['nsenter', '-t', '304', '-m', 'sh'], innerPlace],
  ]
  for (const [pid, parentPid, argv, place] of line) {
    tracker.forked({ pid, startTicks: pid, parentPid, creatorPid: parentPid, uid: 0, euid: 0 }, pid * 10)
    tracker.executed(
      seenProcess({ pid, startTicks: pid, parentPid, ...place, program: running(...argv) }),
      pid * 10 + 1,
    )
  }
  t.is(observed().length, 1 + line.length)
  for (const { container, origin, hostFiles } of observed())
    t.deepEqual([container.name, origin, hostFiles], ['web', { via: 'init' }, null])
})

test('a start hook and its children do not belong to the container; processes after the start do', (t) => {
  const { tracker, observed } = watched([web])
  t.teardown(() => tracker.close())
  const belowShim = { startTicks: 500, parentPid: 50 }
  tracker.executed(seenProcess({ pid: 190, ...belowShim, program: running('runc', 'create') }), 5_000)
  tracker.executed(seenProcess({ pid: 191, ...belowShim, program: running('runc', 'init') }), 5_001)
  tracker.forked({ pid: 260, startTicks: 520, parentPid: 191, creatorPid: 191, uid: 0, euid: 0 }, 5_200)
  const hook = { startTicks: 520, ...inContainer(id) }
  tracker.executed(seenProcess({ pid: 260, parentPid: 191, ...hook }), 5_201)
  tracker.forked({ pid: 261, startTicks: 530, parentPid: 260, creatorPid: 260, uid: 0, euid: 0 }, 5_300)
  tracker.executed(seenProcess({ pid: 261, parentPid: 260, ...hook, startTicks: 530 }), 5_301)
  t.deepEqual(observed(), [])
  tracker.executed(init, 6_000)
  t.is(observed().at(-1)?.origin.via, 'init')
  // After the start, a process with the same parents is not mistaken for a hook.
  tracker.executed(seenProcess({ pid: 300, startTicks: 700, parentPid: 191, ...inContainer(id) }), 7_000)
  t.is(observed().at(-1)?.origin.via, 'entered')
})

test('a container process in the host’s mount namespace or root has escaped; one that never left the host’s mounts has not', async (t) => {
  const { procRoot, link, write } = await procDirectory(t)
  await link('1/root', '/')
  await link('201/root', '/')
  await link('202/root', '/tmp')
  await link('205/root', '/')
  for (const pid of [201, 202]) await write(`${pid}/stat`, procStat({ pid, startTicks: pid }))
  // The pid has been reused.
  await write('205/stat', procStat({ pid: 205, startTicks: 999 }))
  const { tracker, observed } = sample(t, procRoot)
  const child = (pid: number, rest: object) => {
    tracker.forked({ pid, startTicks: pid, parentPid: 200, creatorPid: 200, uid: 0, euid: 0 }, 7_000)
    tracker.executed(
      seenProcess({ pid, startTicks: pid, parentPid: 200, ...inContainer(id), ...rest }),
      7_001,
    )
    return observed().at(-1)?.hostFiles
  }
  t.is(child(201, {}), 'root')
  t.is(child(202, {}), null)
  t.is(child(203, {}), null)
  t.is(child(205, {}), null)
  t.is(child(204, { namespaces: hostNamespaces }), 'mount-namespace')
  const { pid } = init.namespaces
  tracker.executed(seenProcess({ pid: 500, namespaces: { ...hostNamespaces, pid } }), 7_500)
  t.is(observed().at(-1)?.origin.via, 'entered')
  t.is(observed().at(-1)?.hostFiles, null)
})

test('a process with the container’s root at exec is rechecked shortly after, and an escape since then is reported', async (t) => {
  const { procRoot, link, write } = await procDirectory(t)
  await write('1/mountinfo', '27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n')
  for (const pid of [1, 201, 202]) await link(`${pid}/root`, '/')
  for (const pid of [201, 202]) await write(`${pid}/stat`, procStat({ pid, startTicks: pid }))
  const { tracker, observed } = sample(t, procRoot)
  const reported = () => observed().map(({ process, change, hostFiles }) => [process.pid, change, hostFiles])
  const before = reported().length
  const execute = (pid: number, rootDevice: number) =>
    tracker.executed(
      seenProcess({ pid, startTicks: pid, parentPid: 200, ...inContainer(id), rootDevice }),
      7_001,
    )
  execute(201, deviceNumber(0, 57))
  execute(202, deviceNumber(254, 0))
  execute(203, deviceNumber(254, 0))
  t.deepEqual(reported().slice(before), [
    [201, 'executed', null],
    [202, 'executed', 'root'],
    [203, 'executed', null],
  ])
  await until(() => reported().length > before + 3)
  t.deepEqual(reported().slice(before + 3), [[201, 'found', 'root']])
})

serial('every docker exec is reported with the engine’s exec id', async (t) => {
  const { of } = await watchProcesses(t)
  const { name } = await runContainer(t)
  const events = execFile('docker', ['events', '--filter', `container=${name}`, '--format', '{{json .}}'])
  t.teardown(() => events.kill())
  let text = ''
  events.stdout?.on('data', (chunk: string) => (text += chunk))
  // `docker events` reports only events after its start, so repeat until it has started.
  await until(async () => {
    await docker('exec', name, 'true', 'listening')
    return text.includes('exec_start')
  })
  await run('script', ['-qec', `docker exec -it ${name} true marked-tty`, '/dev/null'])
  await docker('exec', '--detach', name, 'true', 'marked-detached')
  await Promise.all(Array.from({ length: scaled(40) }, (_, n) => docker('exec', name, 'true', `marked-${n}`)))

  const marks = ['tty', 'detached', ...Array.from({ length: scaled(40) }, (_, n) => String(n))]
  const starts = () =>
    text.split('\n').flatMap((line) => /exec_start: true marked-(\w+)".*?"execID":"(\w+)"/.exec(line) ?? [])
  await until(() => starts().length === 3 * marks.length)
  for (const mark of marks) {
    const seen = await until(() => of(name).find(({ process }) => process.argv[1] === `marked-${mark}`))
    const expected = new RegExp(`exec_start: true marked-${mark}".*?"execID":"(\\w+)"`).exec(text)?.[1]
    t.regex(expected ?? '', /^[0-9a-f]{64}$/)
    t.is(originOf(seen)?.execId, expected, mark)
  }
})

serial('an entry without the engine is reported with its tool and without an exec id', async (t) => {
  const { of } = await watchProcesses(t)
  const { name, id: container } = await runContainer(t)
  const pid = (await docker('inspect', '--format', '{{.State.Pid}}', container)).stdout.trim()
  const ways: [string, string[]][] = [
    ['runc', [...(await runtimeCommand()), 'exec', container, 'true', 'by-runc']],
    ['nsenter', ['nsenter', '-t', pid, '-m', 'true', 'by-mounts']],
    ['nsenter', ['nsenter', '-t', pid, '-p', 'sh', '-c', 'true by-pids']],
    ['nsenter', ['nsenter', '-t', pid, '-m', '-p', 'true', 'by-both']],
    ['nsenter', ['nsenter', '-t', pid, '-a', 'true', 'by-all']],
    ['chroot', ['chroot', `/proc/${pid}/root`, 'true', 'by-chroot']],
  ]
  for (const [tool, argv] of ways) {
    await run(argv[0] ?? '', argv.slice(1))
    const mark = argv.at(-1) ?? ''
    const seen = await until(() => of(name).find(({ process }) => process.argv.at(-1) === mark))
    t.is(originOf(seen)?.execId, '', mark)
    t.true(
      originOf(seen)?.by.some(({ argv: [program] }) => program === tool),
      `${mark}: ${JSON.stringify(seen.origin)}`,
    )
    t.is(seen.hostFiles, null, mark)
  }
  const before = of(name).length
  await run('nsenter', ['-t', pid, '-n', '-u', 'true'])
  await docker('top', name)
  await docker('cp', '/etc/hostname', `${name}:/tmp/copied`)
  await docker('cp', `${name}:/tmp/copied`, '-')
  await docker('exec', name, 'true', 'last')
  await until(() => of(name).some(({ process }) => process.argv[1] === 'last'))
  t.is(of(name).length, before + 1)
})

serial(
  'a container process that changes to the host’s root or mount namespace is reported as escaped',
  async (t) => {
    const { of } = await watchProcesses(t)
    const rights = ['--cap-add', 'SYS_ADMIN', '--cap-add', 'SYS_PTRACE', '--pid', 'host']
    const { name } = await runContainer(t, ['--volume', '/:/host', ...rights])
    await docker('exec', name, 'busybox', 'chroot', '/host', '/bin/sleep', '0.5')
    await docker('exec', name, 'busybox', 'nsenter', '-t', String(process.pid), '-m', '/bin/sleep', '0.51')
    const last = (argument: string) =>
      of(name).find(({ process }) => process.argv.at(-1) === argument && process.argv.length === 2)
    t.is((await until(() => last('0.5'))).hostFiles, 'root')
    t.is((await until(() => last('0.51'))).hostFiles, 'mount-namespace')
    // The root is read a moment later, when the same process may already have changed it.
    const out = of(name).filter(({ hostFiles }) => hostFiles !== null)
    t.deepEqual(new Set(out.map(({ process }) => process.argv.at(-1))), new Set(['0.5', '0.51']))
  },
)

/** A fake /proc directory with the few files that a test needs. */
async function procDirectory(t: ExecutionContext) {
  const procRoot = await mkdtemp(join(tmpdir(), 'tidewatch-test-proc-'))
  t.teardown(() => rm(procRoot, { recursive: true }))
  const place = async (path: string) => {
    await mkdir(dirname(join(procRoot, path)), { recursive: true })
    return join(procRoot, path)
  }
  return {
    procRoot,
    write: async (path: string, text: string) => await writeFile(await place(path), text),
    link: async (path: string, target: string) => await symlink(target, await place(path)),
  }
}

/** The runtime with the root directory that this engine uses. */
async function runtimeCommand(): Promise<string[]> {
  const root = (await docker('info', '--format', '{{.DefaultRuntime}}')).stdout.trim()
  return ['runc', '--root', `/run/docker/runtime-${root}/moby`]
}
