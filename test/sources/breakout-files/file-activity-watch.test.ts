import {
  closeSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { findHierarchyMount } from '../../../agent/sources/breakout-files/hierarchies.ts'
import {
  openFileActivityWatch,
  type FileActivity,
} from '../../../agent/sources/breakout-files/file-activity-watch.ts'
import { openBinfmt } from '../../../agent/sources/breakout-files/file-readers.ts'
import { mountDetached } from '../../../agent/linux/detached-mount.ts'
import { until } from '../../support/until.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'

const serial = test.serial

function open(t: ExecutionContext) {
  const fileActivity: FileActivity[] = []
  const lost: string[] = []
  const watch = openFileActivityWatch({
    onActivity: (activity) => fileActivity.push(activity),
    lost: (reason) => lost.push(reason),
    failed: (error) => t.fail(String(error)),
  })
  t.teardown(() => watch.close())
  return { watch, fileActivity, lost }
}

test('every change of a file, through its own name or another, is reported with the process', async (t) => {
  const directory = await temporaryDirectory()
  t.teardown(() => rmSync(directory, { recursive: true }))
  const file = join(directory, 'ld.so.preload')
  const { watch, fileActivity } = open(t)
  t.is(watch.watchEntry(file), '')
  const operations: [string, () => void][] = [
    ['created', () => writeFileSync(file, 'a')],
    ['written', () => writeFileSync(file, 'b')],
    ['replaced', () => (writeFileSync(`${file}.new`, 'c'), renameSync(`${file}.new`, file))],
    [
      'written through another name',
      () => {
        t.is(watch.watchFile(file), '')
        mkdirSync(join(directory, 'other'))
        linkSync(file, join(directory, 'other', 'name'))
        writeFileSync(join(directory, 'other', 'name'), 'd')
      },
    ],
    ['removed', () => unlinkSync(file)],
  ]
  for (const [what, operate] of operations) {
    watch.drain()
    fileActivity.length = 0
    operate()
    watch.drain()
    t.true(fileActivity.length > 0, what)
    for (const activity of fileActivity)
      t.deepEqual(activity, { pid: process.pid, target: { kind: 'file', path: file } }, what)
  }
  fileActivity.length = 0
  writeFileSync(join(directory, 'neighbour'), 'x')
  watch.drain()
  t.deepEqual(fileActivity, [])
})

serial('notify_on_release of a short-lived cgroup is reported where a cgroup v1 hierarchy exists', (t) => {
  const mount = findHierarchyMount(readFileSync('/proc/self/mountinfo', 'utf8'), 'pids')
  if (mount === null) {
    t.pass('cgroup v2 only')
    return
  }
  const { watch, fileActivity } = open(t)
  t.is(watch.watchHierarchy('pids', mount.mountPoint), '')
  const cgroup = join(mount.mountPoint, `tidewatch-test-${process.pid}`)
  const ours = () => fileActivity.filter(({ pid }) => pid === process.pid).map(({ target }) => target)
  mkdirSync(cgroup)
  try {
    writeFileSync(join(cgroup, 'notify_on_release'), '1')
    writeFileSync(join(cgroup, 'pids.max'), '100')
    watch.drain()
    t.like(ours(), [{ kind: 'cgroup', hierarchy: 'pids', name: 'notify_on_release' }])
    fileActivity.length = 0
    writeFileSync(join(cgroup, 'notify_on_release'), '0')
  } finally {
    rmdirSync(cgroup)
  }
  watch.drain()
  t.deepEqual(ours(), [{ kind: 'cgroup', hierarchy: 'pids', name: 'notify_on_release', directory: null }])
})

serial('a binfmt_misc registration is reported, whichever mount it is made through', async (t) => {
  const view = openBinfmt('/proc')
  if (view === null) {
    t.pass('a kernel without binfmt_misc')
    return
  }
  const { watch, fileActivity } = open(t)
  const other = mountDetached('binfmt_misc')
  t.teardown(() => (view.close(), closeSync(other)))
  t.is(watch.watchBinfmt(view.root), '')
  const name = `tidewatch-test-${process.pid}`
  writeFileSync(`/proc/self/fd/${other}/register`, `:${name}:M::\\x7fTWX::/bin/true:`)
  try {
    await until(() => fileActivity.some(({ pid, target }) => pid === process.pid && target.kind === 'binfmt'))
    const [entry] = view.read().filter(({ path }) => path.endsWith(name))
    t.is(entry?.path, `/proc/sys/fs/binfmt_misc/${name}`)
    t.regex(entry?.value ?? '', /^enabled\ninterpreter \/bin\/true\n/)
  } finally {
    writeFileSync(`/proc/self/fd/${other}/${name}`, '-1')
  }
  t.false(readFileSync('/proc/self/mountinfo', 'utf8').includes(' - binfmt_misc none '))
})

serial('an overflow of the kernel queue is counted as lost, and later events are reported', async (t) => {
  const directory = await temporaryDirectory()
  t.teardown(() => rmSync(directory, { recursive: true }))
  const { watch, fileActivity, lost } = open(t)
  const file = join(directory, 'ld.so.preload')
  t.is(watch.watchEntry(file), '')
  const most = Number(readFileSync('/proc/sys/fs/fanotify/max_queued_events', 'utf8'))
  for (let number = 0; number <= most; number += 1) writeFileSync(join(directory, String(number)), '')
  await until(() => lost.length > 0)
  while (watch.drain());
  t.deepEqual(lost, ['overflow'])
  t.deepEqual(fileActivity, [])
  writeFileSync(file, 'a')
  await until(() => fileActivity.length > 0)
})

test('watching a missing file returns the reason', (t) => {
  const { watch } = open(t)
  t.regex(watch.watchEntry('/proc/nothing/at-all'), /ENOENT/)
  t.regex(watch.watchFile('/nothing'), /ENOENT/)
})
