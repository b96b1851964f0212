import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { deviceNumber } from '../../../../agent/linux/device-number.ts'
import { readRootDevice, rootDeviceIn } from '../../../../agent/sources/processes/attribution/root-device.ts'

const overlay = '500 400 0:57 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/l'

test('a container’s root device is that of the last mount at its root, unless containers share it', (t) => {
  const table: [string, string, number | null][] = [
    ['overlay', `${overlay}\n501 500 0:60 / /proc rw - proc proc rw\n`, deviceNumber(0, 57)],
    ['rootless', '500 400 0:58 / / rw - fuse.fuse-overlayfs fuse-overlayfs rw', deviceNumber(0, 58)],
    ['optional fields', '500 400 0:57 / / rw shared:1 master:2 - overlay overlay rw', deviceNumber(0, 57)],
    ['one over the other', `${overlay}\n502 500 0:61 / / rw - overlay overlay rw`, deviceNumber(0, 61)],
    ['a directory of the host’s disk', '500 400 8:1 /vfs/dir/x / rw - ext4 /dev/sda1 rw', null],
    ['nothing', '', null],
    ['nonsense', 'a b c d /', null],
  ]
  for (const [what, text, device] of table) t.is(rootDeviceIn(text), device, what)
})

test('a container init that has exited has no root device', async (t) => {
  const procRoot = await mkdtemp(join(tmpdir(), 'tidewatch-test-proc-'))
  t.teardown(() => rm(procRoot, { recursive: true }))
  await mkdir(join(procRoot, '200'))
  await writeFile(join(procRoot, '200/mountinfo'), overlay)
  t.is(readRootDevice(procRoot, 200), deviceNumber(0, 57))
  t.is(readRootDevice(procRoot, 201), null)
})
