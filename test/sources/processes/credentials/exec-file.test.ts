import test from 'ava'
import { fileAtExec } from '../../../../agent/sources/processes/credentials/exec-file.ts'
import type { AtExec } from '../../../../agent/sources/processes/table/known-process.ts'

const overlay = 0x794c7630
const ext4 = 0xef53
const facts: AtExec = { magic: overlay, inUpper: false, owner: 0, mode: 0o755, hasAmbientCapabilities: false }
const sample = {
  ...{ exe: '/bin/su', exeDevice: 57, rootDevice: 57, containerRoot: 57, atExec: facts },
  ...{ isRoot: true, capabilities: 0 },
}

test('the origin of a file is derived from its file system and the container’s root', (t) => {
  const upper = { ...facts, inUpper: true }
  const table: [string, Partial<typeof sample>, ReturnType<typeof fileAtExec>['origin']][] = [
    ['in a lower layer', {}, 'image'],
    ['in the upper directory', { atExec: upper }, 'container'],
    ['deleted, from the image', { exe: '/bin/su (deleted)' }, 'image'],
    ['deleted, from the container', { exe: '/bin/su (deleted)', atExec: upper }, 'container'],
    ['a disk', { exeDevice: 8, atExec: { ...facts, magic: ext4 } }, 'volume'],
    ['an overlay of the host', { exeDevice: 60, atExec: upper }, 'volume'],
    ['tmpfs', { exeDevice: 61, atExec: { ...facts, magic: 0x01021994 } }, 'tmpfs'],
    ['ramfs', { exeDevice: 61, atExec: { ...facts, magic: 0x858458f6 } }, 'tmpfs'],
    ['memfd', { exe: '/memfd:x (deleted)', exeDevice: 1, atExec: { ...facts, magic: 0x01021994 } }, 'memory'],
    ['after chroot to a volume', { exeDevice: 8, rootDevice: 8 }, null],
    ['an unknown init', { containerRoot: 0 }, 'image'],
    ['an unknown root', { containerRoot: 0, rootDevice: 0 }, null],
    ['a storage driver without layers', { atExec: { ...facts, magic: ext4 } }, null],
  ]
  for (const [what, rest, origin] of table) t.is(fileAtExec({ ...sample, ...rest }).origin, origin, what)
})

test('capabilities come from the file unless root or ambient capabilities explain them', (t) => {
  const ambient = { ...facts, hasAmbientCapabilities: true }
  const table: [string, Partial<typeof sample>, boolean | null][] = [
    ['root', { capabilities: 0x80 }, null],
    ['a user without any', { isRoot: false }, false],
    ['a user with some', { isRoot: false, capabilities: 0x80 }, true],
    ['ambient', { isRoot: false, capabilities: 0x80, atExec: ambient }, false],
  ]
  for (const [what, rest, expected] of table)
    t.is(fileAtExec({ ...sample, ...rest }).status.hasCapabilities, expected, what)
})
