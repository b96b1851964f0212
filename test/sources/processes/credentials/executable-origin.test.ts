import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { FileOrigin } from '../../../../agent/model/observation.ts'
import { deviceNumber } from '../../../../agent/linux/device-number.ts'
import {
  executableOrigin,
  type FileLocation,
  locationOf,
  unknownFile,
} from '../../../../agent/sources/processes/credentials/executable-origin.ts'

const overlay = '74 49 0:39 / / rw - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir=/u/diff,workdir=/u/work'
const volume = '91 74 254:0 /volumes/data /data rw - ext4 /dev/vda rw'
const tmpfs = '90 74 0:47 / /run\\040time rw - tmpfs tmpfs rw'
const all = [overlay, volume, tmpfs, 'nonsense', ''].join('\n')
const root = deviceNumber(0, 39)

test('a file is located by the last mount on its path with its device', (t) => {
  const inOverlay = (path: string, deleted = false): FileLocation => ({
    kind: 'overlay',
    deleted,
    upper: `/u/diff${path}`,
    lowers: [`/l/A${path}`, `/l/B${path}`],
  })
  const table: [string, string, string, number, FileLocation][] = [
    ['the image or the container', all, '/bin/su', root, inOverlay('/bin/su')],
    ['deleted', all, '/bin/su (deleted)', root, inOverlay('/bin/su', true)],
    ['a volume', all, '/data/su', deviceNumber(254, 0), { kind: 'volume' }],
    ['only named like the volume', all, '/database', root, inOverlay('/database')],
    ['a tmpfs, with a blank in its path', all, '/run time/su', deviceNumber(0, 47), { kind: 'tmpfs' }],
    ['a device of no mount', all, '/bin/su', deviceNumber(8, 1), { kind: 'unknown' }],
    ['another storage driver', '1 0 0:39 / / rw - btrfs /dev/vda rw', '/bin/su', root, { kind: 'unknown' }],
    [
      'a read-only overlay',
      '1 0 0:39 / / ro - overlay overlay ro,lowerdir=/l/A',
      '/bin/su',
      root,
      { kind: 'unknown' },
    ],
    [
      'layers in separate options',
      '1 0 0:39 / / rw - overlay o rw,lowerdir+=/l/A,lowerdir+=/l/B,upperdir=/u/diff',
      '/x',
      root,
      inOverlay('/x'),
    ],
    ['nothing to read', '', '/bin/su', root, { kind: 'unknown' }],
  ]
  for (const [what, mounts, exe, device, expected] of table)
    t.deepEqual(locationOf(mounts, exe, device), expected, what)
})

/** A fake /proc with one process, whose overlay has an upper and a lower layer. */
async function fakeContainer(t: ExecutionContext) {
  const directory = await mkdtemp(join(tmpdir(), 'tidewatch-test-executable-origin-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const [proc, upper, lower] = [join(directory, 'proc'), join(directory, 'upper'), join(directory, 'lower')]
  for (const folder of [join(proc, '7'), upper, lower]) await mkdir(folder, { recursive: true })
  await writeFile(join(lower, 'su'), 'su')
  await chmod(join(lower, 'su'), 0o4755)
  await symlink(lower, join(proc, '7/root'))
  const { dev, ino } = await stat(join(lower, 'su'))
  const device = `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`
  await writeFile(
    join(proc, '7/mountinfo'),
    `1 0 ${device} / / rw - overlay overlay rw,lowerdir=${lower},upperdir=${upper}\n`,
  )
  let time = 0
  const inspect = executableOrigin({ procRoot: proc, now: () => time })
  return {
    upper,
    lower,
    forward: (ms: number) => void (time += ms),
    inspect: (pid: number, exe = '/su', inode = ino) =>
      inspect(
        {
          pid,
          namespaces: { mount: 1, pid: 1, user: 1 },
          exe,
          exeTruncated: false,
          exeFile: { device: dev, inode },
        },
        [7],
      ),
  }
}

test('a file in a lower layer comes from the image unless the upper layer hides it', async (t) => {
  const { inspect, upper, forward } = await fakeContainer(t)
  const image: FileOrigin = 'image'
  const expected = {
    origin: image,
    status: { owner: process.getuid?.() ?? 0, mode: 0o4755, hasCapabilities: false },
  }
  t.deepEqual(inspect(7), expected)
  await writeFile(join(upper, 'su'), 'another')
  t.deepEqual(inspect(7), expected, 'remembered for a second')
  forward(1_001)
  t.is(inspect(7).origin, 'container')
})

test('the file of an exited process is inspected through another process of the container', async (t) => {
  const { inspect } = await fakeContainer(t)
  t.like(inspect(4_194_304), { origin: 'image', status: { mode: 0o4755 } })
})

test('another file at the same path is not mistaken for the executable', async (t) => {
  const { inspect } = await fakeContainer(t)
  t.deepEqual(inspect(7, '/su', 1), unknownFile)
  t.deepEqual(inspect(7, '/gone'), unknownFile)
})

test('a memfd has the origin memory, and a file that is not found is unknown', async (t) => {
  const { inspect } = await fakeContainer(t)
  t.is(inspect(7, '/memfd:x (deleted)').origin, 'memory')
  t.deepEqual(inspect(7, '/elsewhere/su'), unknownFile)
})

test('the number of inspections per second is bounded', async (t) => {
  const { inspect, forward } = await fakeContainer(t)
  for (let number = 0; number < 100; number++) inspect(7, `/${number}`)
  t.is(inspect(7).origin, 'unknown')
  forward(1_001)
  t.is(inspect(7).origin, 'image')
})
