import test from 'ava'
import { deviceNumber } from '../../../../agent/linux/device-number.ts'
import { isMounted, locateFile } from '../../../../agent/sources/runtime-files/paths/file-location.ts'

const host = [
  '1 0 8:1 / / rw - ext4 /dev/sda1 rw',
  '2 1 8:2 /subvolume /usr rw - btrfs /dev/sdb rw',
  '3 1 0:5 / /proc rw - proc proc rw',
  '4 1 8:3 / /opt\\040x rw - ext4 /dev/sdc rw',
].join('\n')

test('a file’s location is its path within its file system, whatever is mounted above', (t) => {
  t.deepEqual(locateFile(host, '/sbin/runc'), { device: deviceNumber(8, 1), path: '/sbin/runc' })
  t.deepEqual(locateFile(host, '/usr/sbin/runc'), {
    device: deviceNumber(8, 2),
    path: '/subvolume/sbin/runc',
  })
  t.deepEqual(locateFile(host, '/opt x/runc'), { device: deviceNumber(8, 3), path: '/runc' })
  t.deepEqual(locateFile(host, '/usrlocal/runc'), { device: deviceNumber(8, 1), path: '/usrlocal/runc' })
  t.is(locateFile('', '/sbin/runc'), null)
})

test('a file is in a container’s mounts when one of them contains it, at the same path or any other', (t) => {
  const runc = { device: deviceNumber(8, 1), path: '/usr/sbin/runc' }
  const rows: [string, boolean][] = [
    ['9 8 8:1 / /host rw - ext4 /dev/sda1 rw', true],
    ['9 8 8:1 /usr /mnt rw - ext4 /dev/sda1 rw', true],
    ['9 8 8:1 /usr/sbin/runc /sbin/docker-init ro - ext4 /dev/sda1 rw', true],
    ['9 8 8:1 /usr/sbin/runc2 /x ro - ext4 /dev/sda1 rw', false],
    ['9 8 8:1 /var/lib/docker/containers/x/hosts /etc/hosts rw - ext4 /dev/sda1 rw', false],
    ['9 8 8:2 / /host rw - ext4 /dev/sdb rw', false],
    ['nonsense', false],
    ['', false],
  ]
  for (const [mountinfo, mounted] of rows) t.is(isMounted(mountinfo, runc), mounted, mountinfo)
})
