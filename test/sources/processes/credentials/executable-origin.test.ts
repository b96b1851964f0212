import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { FileOrigin } from '../../../../agent/model/observation.ts'
import { deviceNumber } from '../../../../agent/linux/device-number.ts'
import {
  type Place,
  placeOf,
  provenance,
  unknownFile,
} from '../../../../agent/sources/processes/credentials/executable-origin.ts'

const overlay = '74 49 0:39 / / rw - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir=/u/diff,workdir=/u/work'
const volume = '91 74 254:0 /volumes/data /data rw - ext4 /dev/vda rw'
const tmpfs = '90 74 0:47 / /run\\040time rw - tmpfs tmpfs rw'
const all = [overlay, volume, tmpfs, 'nonsense', ''].join('\n')
const root = deviceNumber(0, 39)

test('a file’s place is the last mount on its way that has its device', (t) => {
  const inOverlay = (path: string, deleted = false): Place => ({
    kind: 'overlay',
    deleted,
    upper: `/u/diff${path}`,
    lowers: [`/l/A${path}`, `/l/B${path}`],
  })
  const table: [string, string, string, number, Place][] = [
    ['the image or the container', all, '/bin/su', root, inOverlay('/bin/su')],
    ['deleted', all, '/bin/su (deleted)', root, inOverlay('/bin/su', true)],
    ['a volume', all, '/data/su', deviceNumber(254, 0), { kind: 'volume' }],
    ['only named like the volume', all, '/database', root, inOverlay('/database')],
    ['a tmpfs, with a blank in its path', all, '/run time/su', deviceNumber(0, 47), { kind: 'tmpfs' }],
    ['from other mounts', all, '/bin/su', deviceNumber(8, 1), { kind: 'unknown' }],
    ['another storage driver', '1 0 0:39 / / rw - btrfs /dev/vda rw', '/bin/su', root, { kind: 'unknown' }],
    [
      'a read-only overlay',
      '1 0 0:39 / / ro - overlay overlay ro,lowerdir=/l/A',
      '/bin/su',
      root,
      { kind: 'unknown' },
    ],
    [
      'layers named one by one',
      '1 0 0:39 / / rw - overlay o rw,lowerdir+=/l/A,lowerdir+=/l/B,upperdir=/u/diff',
      '/x',
      root,
      inOverlay('/x'),
    ],
    ['nothing to read', '', '/bin/su', root, { kind: 'unknown' }],
  ]
  for (const [what, mounts, exe, device, expected] of table)
    t.deepEqual(placeOf(mounts, exe, device), expected, what)
})

/** A /proc with one process, whose overlay has an upper and a lower layer. */
async function fakeContainer(t: ExecutionContext) {
  const directory = await mkdtemp(join(tmpdir(), 'tidewatch-test-provenance-'))
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
  const look = provenance({ procRoot: proc, now: () => time })
  return {
    upper,
    lower,
    forward: (ms: number) => void (time += ms),
    look: (pid: number, exe = '/su', inode = ino) =>
      look(
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

test('a file of a lower layer is the image’s until one lies above it', async (t) => {
  const { look, upper, forward } = await fakeContainer(t)
  const image: FileOrigin = 'image'
  const expected = {
    origin: image,
    status: { owner: process.getuid?.() ?? 0, mode: 0o4755, hasCapabilities: false },
  }
  t.deepEqual(look(7), expected)
  await writeFile(join(upper, 'su'), 'another')
  t.deepEqual(look(7), expected, 'remembered for a second')
  forward(1_001)
  t.is(look(7).origin, 'container')
})

test('of a process that is gone another of the same container tells', async (t) => {
  const { look } = await fakeContainer(t)
  t.like(look(4_194_304), { origin: 'image', status: { mode: 0o4755 } })
})

test('another file at the same path is not what was run', async (t) => {
  const { look } = await fakeContainer(t)
  t.deepEqual(look(7, '/su', 1), unknownFile)
  t.deepEqual(look(7, '/gone'), unknownFile)
})

test('a file in memory has no place, and one with a cut path is unknown', async (t) => {
  const { look } = await fakeContainer(t)
  t.is(look(7, '/memfd:x (deleted)').origin, 'memory')
  t.deepEqual(look(7, '/elsewhere/su'), unknownFile)
})

test('who runs ever new files gets a bounded number of looks', async (t) => {
  const { look, forward } = await fakeContainer(t)
  for (let number = 0; number < 100; number++) look(7, `/${number}`)
  t.is(look(7).origin, 'unknown')
  forward(1_001)
  t.is(look(7).origin, 'image')
})
