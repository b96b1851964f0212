import test from 'ava'
import { isAtOrBelow, mountOf, parseMount, parseMounts, unescapeOctal } from '../../agent/linux/mountinfo.ts'

const lines = [
  '22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro',
  '23 22 0:21 / /proc rw,nosuid - proc proc rw',
  '24 22 0:45 /volumes/a\\040b /data ro,relatime master:3 propagate_from:1 - overlay overlay rw,lowerdir=/l1:/l2,upperdir=/u',
  '25 24 259:3 / /data rw - ext4 /dev/nvme0n1p3 ro',
]

test('a mount has the device number of stat(2), unescaped paths, and both kinds of options', (t) => {
  t.deepEqual(parseMount(lines[2] ?? ''), {
    device: 45,
    root: '/volumes/a b',
    mountPoint: '/data',
    type: 'overlay',
    readOnly: true,
    superOptions: 'rw,lowerdir=/l1:/l2,upperdir=/u',
  })
  t.is(parseMount(lines[3] ?? '')?.device, (259 << 8) | 3)
})

for (const [what, line] of [
  ['nothing', ''],
  ['a line that was cut', '22 1 8:1 / / rw,relatime'],
  ['a line without the dash', '22 1 8:1 / / rw,relatime shared:1 ext4 /dev/sda1 rw'],
  ['a device that is none', '22 1 sda1 / / rw,relatime - ext4 /dev/sda1 rw'],
] as const) {
  test(`${what} is not a mount`, (t) => {
    t.is(parseMount(line), null)
  })
}

test('a read-only superblock makes its mount read-only', (t) => {
  t.deepEqual(
    parseMounts(lines.join('\n')).map(({ readOnly }) => readOnly),
    [false, false, true, true],
  )
})

test('a path is on the longest mount point above it, and on the later of two mounts at one path', (t) => {
  const mounts = parseMounts(lines.join('\n'))
  t.is(mountOf('/data/x', mounts)?.type, 'ext4')
  t.is(mountOf('/data/x', mounts, ({ type }) => type === 'overlay')?.root, '/volumes/a b')
  t.is(mountOf('/database', mounts)?.mountPoint, '/')
  t.is(mountOf('/proc/1', mounts)?.type, 'proc')
  t.is(mountOf('/x', []), null)
})

test('a path is at or below a directory only if it is the directory or inside it', (t) => {
  t.true(isAtOrBelow('/a', '/a'))
  t.true(isAtOrBelow('/a/b', '/a'))
  t.true(isAtOrBelow('/a', '/'))
  t.false(isAtOrBelow('/ab', '/a'))
})

test('octal escapes are decoded', (t) => {
  t.is(unescapeOctal('a\\040b\\011c\\012d\\134e'), 'a b\tc\nd\\e')
  t.is(unescapeOctal('plain'), 'plain')
})
