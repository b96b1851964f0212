import { mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { findHierarchyMount } from '../../../agent/sources/breakout-files/hierarchies.ts'
import { openBinfmt } from '../../../agent/sources/breakout-files/file-readers.ts'
import { breakoutFiles } from '../../../agent/sources/breakout-files/source.ts'
import { SystemCallError } from '../../../agent/linux/libc.ts'
import type {
  BreakoutFile,
  BreakoutFileObservation,
  Observation,
  SourceStatus,
} from '../../../agent/model/observation.ts'
import { cgroupDirectory } from '../processes/cgroup-directory.ts'
import { watchProcesses } from '../processes/watch.ts'
import { corePattern, withCorePattern } from '../../support/core-pattern.ts'
import { docker, runContainer } from '../../support/docker.ts'
import { run } from '../../support/processes.ts'
import { patience, scaled, until } from '../../support/until.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'
import type { BreakoutFilesOptions } from '../../../agent/sources/breakout-files/source-context.ts'

// Needs root, a real kernel and real containers. Serial, because there is only one core_pattern.
const serial = test.serial

async function watch(t: ExecutionContext, options: Partial<BreakoutFilesOptions> = {}) {
  const { table, containers, isBehind } = await watchProcesses(t)
  const seen: Observation[] = []
  const subscription = breakoutFiles({ table, containers, isBehind, now: Date.now, ...options })
    .observe()
    .subscribe((observation) => seen.push(observation))
  t.teardown(() => subscription.unsubscribe())
  const statuses = () => seen.filter((one): one is SourceStatus => one.kind === 'source-status')
  await until(() => statuses().length > 0)
  return {
    statuses,
    /** Operations so far that have `mark` in the path, a value or the writer's arguments. */
    of: (file: BreakoutFile, mark: string) =>
      seen.filter(
        (one): one is BreakoutFileObservation =>
          one.kind === 'breakout-file' &&
          one.file === file &&
          [one.path, one.before, one.after, ...(one.writer?.argv ?? [])].some((text) => text?.includes(mark)),
      ),
    lost: () => seen.filter(({ kind }) => kind === 'events-lost'),
  }
}

let marks = 0
const newMark = () => `tidewatch-test-${process.pid}-${(marks += 1)}`
const twoPolls = () => sleep(2_200 * patience)

serial(
  'setting and restoring a value on the host is two operations with their actor, and polling adds none',
  async (t) => {
    const { of, statuses, lost } = await watch(t)
    t.like(statuses()[0], { up: true, mode: 'bpf+fanotify', best: true, reason: '' })
    const mark = newMark()
    await withCorePattern(async (before) => {
      await run('sh', '-c', `echo '|/${mark}' > ${corePattern}; echo '${before}' > ${corePattern}`)
      await until(() => of('core_pattern', mark).length === 2)
      await twoPolls()
      const operations = of('core_pattern', mark)
      t.deepEqual(
        operations.map((operation) => [
          operation.change,
          operation.before,
          operation.after,
          operation.seenBy,
        ]),
        [
          ['changed', before, `|/${mark}`, 'bpf'],
          ['changed', `|/${mark}`, before, 'bpf'],
        ],
      )
      for (const { writer, container, time } of operations) {
        t.is(container, null)
        t.is(writer?.user, 'root')
        t.is(writer?.argv[0], 'sh')
        t.true(writer?.ancestors.some(({ pid }) => pid === process.pid))
        t.true(Math.abs(Date.now() - time) < 60_000 * patience)
      }
    })
    t.deepEqual(lost(), [])
  },
)

serial(
  'a container that writes the host’s core_pattern through a mount is named each time, though the writers exit at once',
  async (t) => {
    const { of, lost } = await watch(t)
    const { name, id } = await runContainer(t, ['-v', `${corePattern}:/pattern`])
    const count = scaled(20)
    const mark = newMark()
    await withCorePattern(async () => {
      for (let times = 1; times <= count; times += 1) {
        await docker('exec', name, 'sh', '-c', `echo '|/${mark}-${times}-' | tee /pattern`)
      }
      await until(() => of('core_pattern', mark).length >= count)
    })
    const operations = of('core_pattern', mark).filter(({ container }) => container !== null)
    t.is(operations.length, count)
    for (const [index, { container, writer, after }] of operations.entries()) {
      t.is(after, `|/${mark}-${index + 1}-`)
      t.is(container?.id, id)
      t.is(container?.name, name)
      t.deepEqual(writer?.argv, ['tee', '/pattern'])
      t.true(writer?.exe.endsWith('/busybox'))
    }
    t.deepEqual(lost(), [])
  },
)

serial('a host process in a container’s cgroup counts as part of the container', async (t) => {
  const { of } = await watch(t)
  const { id } = await runContainer(t)
  const { stdout } = await docker('inspect', '--format', '{{.State.Pid}}', id)
  const procs = join(cgroupDirectory(Number(stdout)), 'cgroup.procs')
  const mark = newMark()
  await withCorePattern(async () => {
    await run('sh', '-c', `echo $$ > ${procs}; echo '|/${mark}' > ${corePattern}`)
    const [operation] = await until(() => of('core_pattern', mark).length > 0 && of('core_pattern', mark))
    t.is(operation?.container?.id, id)
    t.is(operation?.writer?.argv[0], 'sh')
  })
})

serial(
  'a hierarchy mounted by a container is found, and the process that sets a release agent in it',
  async (t) => {
    const { of } = await watch(t)
    const { id } = await runContainer(t)
    const { stdout } = await docker('inspect', '--format', '{{.State.Pid}}', id)
    const inside = (...command: string[]) => run('nsenter', '-t', stdout.trim(), '-m', ...command)
    const name = newMark()
    await inside('busybox', 'mount', '-t', 'cgroup', '-o', `none,name=${name}`, 'none', '/tmp')
    try {
      const [found] = await until(
        () => of('cgroup_hierarchy', name).length > 0 && of('cgroup_hierarchy', name),
      )
      t.is(found?.path, `name=${name}`)
      t.is(found?.container?.id, id)
      t.deepEqual([found?.before, found?.seenBy, found?.writer], [null, 'poll', null])
      t.true(found?.holders?.some(({ pid }) => pid === Number(stdout)))
      await inside('busybox', 'sh', '-c', `echo /${name} > /tmp/release_agent; echo > /tmp/release_agent`)
      const operations = await until(() => of('release_agent', name).length > 0 && of('release_agent', name))
      t.is(operations[0]?.path, '/tmp/release_agent')
      t.true(operations.every(({ writer, container }) => writer?.argv[1] === 'sh' && container?.id === id))
    } finally {
      // It is busy while a file in it is being read.
      await until(() => inside('busybox', 'umount', '/tmp').then(() => true))
    }
    t.is(of('cgroup_hierarchy', name).length, 1)
  },
)

serial('a hierarchy in another mount namespace of the host belongs to the host', async (t) => {
  const { of } = await watch(t)
  const name = newMark()
  const directory = await temporaryDirectory()
  t.teardown(() => rmSync(directory, { recursive: true }))
  const mounted = run(
    ...(['unshare', '-m', 'sh', '-c'] as const),
    `mount -t cgroup -o none,name=${name},release_agent=/${name}.sh none ${directory}; sleep 3; umount ${directory}`,
  )
  const [found] = await until(() => of('cgroup_hierarchy', name).length > 0 && of('cgroup_hierarchy', name))
  await mounted
  t.is(found?.container, null)
  t.true(found?.after?.includes(`release_agent=/${name}.sh`))
})

serial('a container that sets notify_on_release through a mount is named', async (t) => {
  const mount = findHierarchyMount(readFileSync('/proc/self/mountinfo', 'utf8'), 'pids')
  if (mount === null) {
    t.pass('cgroup v2 has no notify_on_release')
    return
  }
  const { of } = await watch(t)
  const mark = newMark()
  const cgroup = join(mount.mountPoint, mark)
  mkdirSync(cgroup)
  t.teardown(() => rmdirSync(cgroup))
  const { name, id } = await runContainer(t, ['-v', `${cgroup}:/cgroup`])
  await docker('exec', name, 'sh', '-c', 'echo 1 > /cgroup/notify_on_release')
  const [operation] = await until(
    () => of('notify_on_release', mark).length > 0 && of('notify_on_release', mark),
  )
  t.like(operation, {
    path: `${cgroup}/notify_on_release`,
    after: '1',
    seenBy: 'fanotify',
    change: 'changed',
  })
  t.is(operation?.container?.id, id)
})

serial('a container’s entry in the host’s ld.so.preload is reported as one operation', async (t) => {
  const directory = await temporaryDirectory()
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const preload = join(directory, 'ld.so.preload')
  const { of } = await watch(t, { preload })
  const { name, id } = await runContainer(t, ['-v', `${directory}:/etc-of-host`])
  await docker('exec', name, 'sh', '-c', 'echo /evil.so > /etc-of-host/ld.so.preload')
  await until(() => of('ld_so_preload', preload).length > 0)
  await docker(
    'exec',
    name,
    'sh',
    '-c',
    'touch /etc-of-host/ld.so.preload; echo /evil.so > /etc-of-host/ld.so.preload',
  )
  rmSync(preload)
  await until(() => of('ld_so_preload', preload).at(-1)?.after === null)
  await twoPolls()
  const operations = of('ld_so_preload', preload)
  // Truncation may leave it empty for a moment, and a poll may see that.
  t.like(operations[0], { before: null, after: '/evil.so', seenBy: 'fanotify', change: 'changed' })
  t.is(operations[0]?.container?.id, id)
  t.deepEqual(operations[0]?.writer?.argv, ['sh', '-c', 'echo /evil.so > /etc-of-host/ld.so.preload'])
  t.like(operations.at(-1), { before: '/evil.so', after: null, seenBy: 'fanotify', container: null })
  t.is(operations.at(-1)?.writer?.pid, process.pid)
})

serial('a uevent helper set by a container is reported', async (t) => {
  const directory = await temporaryDirectory()
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const ueventHelper = join(directory, 'uevent_helper')
  writeFileSync(ueventHelper, '/sbin/hotplug\n')
  const { of } = await watch(t, { ueventHelper })
  const { name, id } = await runContainer(t, ['-v', `${ueventHelper}:/helper`])
  await docker('exec', name, 'sh', '-c', 'echo /evil | tee /helper')
  await until(() => of('uevent_helper', '/evil').length > 0)
  const operations = of('uevent_helper', '/evil')
  // Truncation leaves it empty for a moment, and a poll may see that.
  t.like(operations[0], { seenBy: 'fanotify', change: 'changed' })
  t.true([null, '/sbin/hotplug'].includes(operations[0]?.before ?? null))
  t.is(operations[0]?.container?.id, id)
  t.deepEqual(operations[0]?.writer?.argv, ['tee', '/helper'])
})

serial('registering and removing an interpreter is reported with the actor', async (t) => {
  const view = openBinfmt('/proc')
  if (view === null) {
    t.pass('a kernel without binfmt_misc')
    return
  }
  t.teardown(() => view.close())
  const { of } = await watch(t)
  const name = newMark()
  const directory = await temporaryDirectory()
  t.teardown(() => rmSync(directory, { recursive: true }))
  await run(
    ...(['unshare', '-m', 'sh', '-c'] as const),
    `mount -t binfmt_misc none ${directory}; echo ':${name}:M::\\x7fTWX::/bin/true:' > ${directory}/register; echo -1 > ${directory}/${name}`,
  )
  // It existed for less than a millisecond, or long enough to be read.
  await sleep(100 * patience)
  const brief = of('binfmt_misc', name)
  t.true(brief.every(({ writer }) => writer?.argv[0] === 'sh'))
  await run(
    ...(['unshare', '-m', 'sh', '-c'] as const),
    `mount -t binfmt_misc none ${directory}; echo ':${name}:M::\\x7fTWX::/bin/true:' > ${directory}/register; sleep 0.5; echo -1 > ${directory}/${name}`,
  )
  const operations = await until(() => {
    const all = of('binfmt_misc', name).slice(brief.length)
    return all.length >= 2 && all
  })
  t.is(operations.length, 2)
  t.like(operations[0], {
    path: `/proc/sys/fs/binfmt_misc/${name}`,
    before: null,
    seenBy: 'fanotify',
    container: null,
  })
  t.regex(operations[0]?.after ?? '', /interpreter \/bin\/true/)
  t.is(operations[1]?.after, null)
  t.true(operations.every(({ writer }) => writer?.argv[0] === 'sh'))
})

serial('a value that the kernel rejects is reported as refused', async (t) => {
  const { of } = await watch(t)
  const bad = `@${newMark()}`
  await withCorePattern(async (before) => {
    // A socket without a path (Linux 6.16); older kernels accept it as a file name.
    const isTaken = await run('sh', '-c', `echo '${bad}' > ${corePattern}`).then(
      () => true,
      () => false,
    )
    const [operation] = await until(() => of('core_pattern', bad).length > 0 && of('core_pattern', bad))
    t.like(operation, { change: isTaken ? 'changed' : 'refused', before, after: bad, seenBy: 'bpf' })
  })
})

const refused = () => {
  throw new SystemCallError('bpf', 1)
}

serial(
  'without privileges everything is polled every second, and the status says what is missing',
  async (t) => {
    const { of, statuses } = await watch(t, { sensors: { openSysctls: refused, openFileActivity: refused } })
    t.like(statuses()[0], { up: true, mode: 'polling', best: false })
    t.regex(statuses()[0]?.reason ?? '', /CAP_SYS_ADMIN.*CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN/)
    const mark = newMark()
    await withCorePattern(async (before) => {
      writeFileSync(corePattern, `|/${mark}`)
      const [operation] = await until(() => of('core_pattern', mark).length > 0 && of('core_pattern', mark))
      t.like(operation, {
        change: 'changed',
        before,
        after: `|/${mark}`,
        seenBy: 'poll',
        writer: null,
        container: null,
      })
    })
  },
)

serial('each sensor works without the other', async (t) => {
  const withBpf = await watch(t, { sensors: { openFileActivity: refused } })
  t.like(withBpf.statuses()[0], { mode: 'bpf', best: false })
  const withFanotify = await watch(t, { sensors: { openSysctls: refused } })
  t.like(withFanotify.statuses()[0], { mode: 'fanotify', best: false })
})

serial(
  'an eBPF program that no longer sees accesses is an error, so that the source is restarted',
  async (t) => {
    const { table, containers, isBehind } = await watchProcesses(t)
    let isBlind = false
    const error = await new Promise<unknown>((resolve) => {
      const subscription = breakoutFiles({
        table,
        containers,
        isBehind,
        now: Date.now,
        sensors: {
          openSysctls: () => ({
            fd: 0,
            drain: () => false,
            accesses: () => (isBlind ? 0 : performance.now()),
            lost: () => 0,
            unreadable: () => 0,
            close: () => {},
          }),
        },
      })
        .observe()
        .subscribe({ next: () => (isBlind = true), error: resolve })
      t.teardown(() => subscription.unsubscribe())
    })
    t.regex(String(error), /no longer sees accesses to sysctls/)
  },
)
