import test from 'ava'
import {
  cgroupDirectory,
  containerCgroup,
  parseCgroupMounts,
  parseMemberships,
} from '../../../agent/sources/resources/cgroup-mounts.ts'

const id = 'ab12'.repeat(16)
const other = 'cd34'.repeat(16)

test('co-mounted controllers of version 1 share their mount, and version 2 is separate', (t) => {
  const mountinfo = [
    '35 30 0:32 / /sys/fs/cgroup/cpu,cpuacct rw shared:16 master:2 - cgroup cgroup rw,cpu,cpuacct',
    '36 30 0:33 / /sys/fs/cgroup/unified rw shared:17 - cgroup2 cgroup2 rw,nsdelegate',
    '37 30 0:34 / /proc rw - proc proc rw',
  ].join('\n')
  const { v1, v2 } = parseCgroupMounts(mountinfo, '/sys/fs/cgroup')
  t.deepEqual(v1.get('cpu'), { mountPoint: '/sys/fs/cgroup/cpu,cpuacct', root: '/' })
  t.is(v1.get('cpuacct'), v1.get('cpu'))
  t.deepEqual(v2, { mountPoint: '/sys/fs/cgroup/unified', root: '/' })
})

test('a hierarchy mounted elsewhere is found with its path unescaped, and the standard path is moved to the given root', (t) => {
  const mountinfo = [
    '35 30 0:32 /docker/x /my\\040groups/memory rw - cgroup cgroup rw,memory',
    '36 30 0:33 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw',
  ].join('\n')
  const { v1, v2 } = parseCgroupMounts(mountinfo, '/host/cgroup')
  t.deepEqual(v1.get('memory'), { mountPoint: '/my groups/memory', root: '/docker/x' })
  t.deepEqual(v2, { mountPoint: '/host/cgroup', root: '/' })
})

test('a malformed mountinfo has no hierarchies', (t) => {
  for (const text of ['', '\n\n', ' - ', '- cgroup', 'x - cgroup2', '\0\0 - \0']) {
    const { v1 } = parseCgroupMounts(text, '/sys/fs/cgroup')
    t.is(v1.get('memory'), undefined)
  }
})

test('memberships keep colons in paths and skip malformed lines', (t) => {
  const memberships = parseMemberships(
    '4:cpu,cpuacct:/a:b\n1:name=systemd:/c\n0::/d\nnonsense\n7:pids:relative\n',
  )
  t.deepEqual(
    [...memberships],
    [
      ['cpu', '/a:b'],
      ['cpuacct', '/a:b'],
      ['name=systemd', '/c'],
      ['', '/d'],
    ],
  )
})

const cgroups: [path: string, cgroup: string | null][] = [
  [`/docker/${id}`, `/docker/${id}`],
  [`/system.slice/docker-${id}.scope`, `/system.slice/docker-${id}.scope`],
  [`/machine.slice/libpod-${id}.scope/container`, `/machine.slice/libpod-${id}.scope`],
  [`/a/b/c/${id}/init.scope`, `/a/b/c/${id}`],
  [`/../${id}`, `/../${id}`],
  [`/docker/${id}/docker/${id}`, `/docker/${id}`],
  [`/docker/${other}`, null],
  [`/docker/${id}x`, null],
  [`/docker/${id} (deleted)`, null],
  ['/', null],
  ['', null],
]

for (const [path, cgroup] of cgroups) {
  test(`the container's cgroup in ${path || 'no path'} is ${cgroup ?? 'none'}`, (t) => {
    t.is(containerCgroup(path, id), cgroup)
  })
}

const directories: [root: string, cgroup: string, directory: string | null][] = [
  ['/', '/docker/x', '/mnt/docker/x'],
  ['/', '/', '/mnt/'],
  ['/docker', '/docker/x', '/mnt/x'],
  ['/docker/x', '/docker/x', '/mnt'],
  ['/docker', '/dockerx/y', null],
  ['/..', '/../x', '/mnt/x'],
  ['/', '/../x', null],
]

for (const [root, cgroup, directory] of directories) {
  test(`with ${root} mounted, ${cgroup} is at ${directory ?? 'no visible path'}`, (t) => {
    t.is(cgroupDirectory({ mountPoint: '/mnt', root }, cgroup), directory)
  })
}
