import test from 'ava'
import { chmodSync, writeFileSync } from 'node:fs'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { SystemCallError } from '../../../../agent/linux/libc.ts'
import { openWatch } from '../../../../agent/sources/runtime-files/watch/open-watch.ts'
import { watchDecoy } from '../decoy.ts'

const EPERM = 1
const EINVAL = 22
const EMFILE = 24

const shell = (folder: string, script: string) => promisify(execFile)('sh', ['-c', script], { cwd: folder })

/** The watch that is opened when the kernel refuses. */
const refused = (errno: number) =>
  openWatch(() => {
    throw new SystemCallError('fanotify_init', errno)
  })

test.serial('without CAP_SYS_ADMIN inotify is used, and the reason names the capability to grant', (t) => {
  // The kernel itself refuses, and no other code runs in this thread meanwhile.
  process.seteuid?.(65_534)
  const watch = openWatch()
  process.seteuid?.(0)
  t.teardown(() => watch.close())
  t.is(watch.mode, 'inotify')
  t.regex(watch.reason, /grant CAP_SYS_ADMIN/)
})

for (const [what, errno, reason] of [
  ['an old kernel', EINVAL, /needs Linux 5\.9/],
  ['no fanotify group left', EMFILE, /fanotify_init: EMFILE/],
] as const) {
  test(`with ${what}, inotify is used and the reason is given`, (t) => {
    const watch = refused(errno)
    t.is(watch.mode, 'inotify')
    t.regex(watch.reason, reason)
  })
}

test('an error that does not come from the kernel is thrown', (t) => {
  const broken = () => {
    throw new TypeError('a bug')
  }
  t.throws(() => openWatch(broken), { instanceOf: TypeError })
})

for (const [what, script, change] of [
  ['a write', 'echo evil > runc', 'written'],
  ['a write through a hard link', 'ln runc other; echo evil > other', 'written'],
  ['a rename over it', 'echo evil > new; mv new runc', 'replaced'],
  ['removal', 'rm runc', 'removed'],
  ['another mode', 'chmod 4755 runc', 'attributes'],
] as const) {
  test(`with inotify ${what} is reported as ${change} once, by an unknown process`, async (t) => {
    const decoy = await watchDecoy(t, { open: () => refused(EPERM) })
    t.like(decoy.statuses, [{ up: true, mode: 'inotify', best: false }])
    chmodSync(decoy.path, 0o755)
    await shell(decoy.folder, script)
    const changes = await decoy.settled(1)
    t.is(changes.length, 1)
    t.like(changes[0], { change, writer: null, container: null })
  })
}

test('with inotify a file that was replaced is watched', async (t) => {
  const decoy = await watchDecoy(t, { open: () => refused(EPERM) })
  await shell(decoy.folder, 'echo other > new; mv new runc')
  await decoy.settled(1)
  await shell(decoy.folder, 'ln runc linked; echo evil > linked')
  t.like(await decoy.settled(2), [{ change: 'replaced' }, { change: 'written' }])
})

test('with inotify a configured file is found as soon as it exists', async (t) => {
  const decoy = await watchDecoy(t, { links: ['crun'], open: () => refused(EPERM) })
  writeFileSync(join(decoy.folder, 'crun'), 'crun')
  writeFileSync(decoy.path, 'evil')
  await decoy.settled(1)
  t.is(decoy.found.length, 2)
})
