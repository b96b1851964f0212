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
import { openTouchWatch, type Touch } from '../../../agent/sources/breakout-files/file-activity-watch.ts'
import { openBinfmt } from '../../../agent/sources/breakout-files/file-readers.ts'
import { mountDetached } from '../../../agent/linux/detached-mount.ts'
import { until } from '../../support/until.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'

const serial = test.serial

function open(t: ExecutionContext) {
  const touches: Touch[] = []
  const lost: string[] = []
  const watch = openTouchWatch({
    touched: (touch) => touches.push(touch),
    lost: (reason) => lost.push(reason),
    failed: (error) => t.fail(String(error)),
  })
  t.teardown(() => watch.close())
  return { watch, touches, lost }
}

test('whatever is done to a file by its name or another is told, with the process', async (t) => {
  const directory = await temporaryDirectory()
  t.teardown(() => rmSync(directory, { recursive: true }))
  const file = join(directory, 'ld.so.preload')
  const { watch, touches } = open(t)
  t.is(watch.watchEntry(file), '')
  const acts: [string, () => void][] = [
    ['made', () => writeFileSync(file, 'a')],
    ['written', () => writeFileSync(file, 'b')],
    ['replaced', () => (writeFileSync(`${file}.new`, 'c'), renameSync(`${file}.new`, file))],
    [
      'written by another name',
      () => {
        t.is(watch.watchFile(file), '')
        mkdirSync(join(directory, 'other'))
        linkSync(file, join(directory, 'other', 'name'))
        writeFileSync(join(directory, 'other', 'name'), 'd')
      },
    ],
    ['removed', () => unlinkSync(file)],
  ]
  for (const [what, act] of acts) {
    watch.drain()
    touches.length = 0
    act()
    watch.drain()
    t.true(touches.length > 0, what)
    for (const touch of touches)
      t.deepEqual(touch, { pid: process.pid, target: { kind: 'file', path: file } }, what)
  }
  touches.length = 0
  writeFileSync(join(directory, 'neighbour'), 'x')
  watch.drain()
  t.deepEqual(touches, [])
})

serial('a flag of a cgroup that exists for a moment is told where a hierarchy of version 1 is', (t) => {
  const mount = findHierarchyMount(readFileSync('/proc/self/mountinfo', 'utf8'), 'pids')
  if (mount === null) {
    t.pass('version 2 only')
    return
  }
  const { watch, touches } = open(t)
  t.is(watch.watchHierarchy('pids', mount.mountPoint), '')
  const cgroup = join(mount.mountPoint, `tidewatch-test-${process.pid}`)
  const ours = () => touches.filter(({ pid }) => pid === process.pid).map(({ target }) => target)
  mkdirSync(cgroup)
  try {
    writeFileSync(join(cgroup, 'notify_on_release'), '1')
    writeFileSync(join(cgroup, 'pids.max'), '100')
    watch.drain()
    t.like(ours(), [{ kind: 'cgroup', hierarchy: 'pids', name: 'notify_on_release' }])
    touches.length = 0
    writeFileSync(join(cgroup, 'notify_on_release'), '0')
  } finally {
    rmdirSync(cgroup)
  }
  watch.drain()
  t.deepEqual(ours(), [{ kind: 'cgroup', hierarchy: 'pids', name: 'notify_on_release', directory: null }])
})

serial('a registration in binfmt_misc is told through whatever mount it is made', async (t) => {
  const view = openBinfmt('/proc')
  if (view === null) {
    t.pass('a kernel without binfmt_misc')
    return
  }
  const { watch, touches } = open(t)
  const other = mountDetached('binfmt_misc')
  t.teardown(() => (view.close(), closeSync(other)))
  t.is(watch.watchBinfmt(view.root), '')
  const name = `tidewatch-test-${process.pid}`
  writeFileSync(`/proc/self/fd/${other}/register`, `:${name}:M::\\x7fTWX::/bin/true:`)
  try {
    await until(() => touches.some(({ pid, target }) => pid === process.pid && target.kind === 'binfmt'))
    const [look] = view.look().filter(({ path }) => path.endsWith(name))
    t.is(look?.path, `/proc/sys/fs/binfmt_misc/${name}`)
    t.regex(look?.value ?? '', /^enabled\ninterpreter \/bin\/true\n/)
  } finally {
    writeFileSync(`/proc/self/fd/${other}/${name}`, '-1')
  }
  t.false(readFileSync('/proc/self/mountinfo', 'utf8').includes(' - binfmt_misc none '))
})

serial('more than the kernel keeps is counted as lost, and what comes after it is told', async (t) => {
  const directory = await temporaryDirectory()
  t.teardown(() => rmSync(directory, { recursive: true }))
  const { watch, touches, lost } = open(t)
  const file = join(directory, 'ld.so.preload')
  t.is(watch.watchEntry(file), '')
  const most = Number(readFileSync('/proc/sys/fs/fanotify/max_queued_events', 'utf8'))
  for (let number = 0; number <= most; number += 1) writeFileSync(join(directory, String(number)), '')
  await until(() => lost.length > 0)
  while (watch.drain());
  t.deepEqual(lost, ['overflow'])
  t.deepEqual(touches, [])
  writeFileSync(file, 'a')
  await until(() => touches.length > 0)
})

test('what cannot be watched says why', (t) => {
  const { watch } = open(t)
  t.regex(watch.watchEntry('/proc/nothing/at-all'), /ENOENT/)
  t.regex(watch.watchFile('/nothing'), /ENOENT/)
})
