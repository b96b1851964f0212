import test from 'ava'
import { findHierarchyMount, parseHierarchies } from '../../../agent/sources/breakout-files/hierarchies.ts'

test('cgroup v1 hierarchies are listed by controllers or name, and v2 is left out', (t) => {
  const text = '12:name=x:/\n9:name=systemd:/init.scope\n5:cpu,cpuacct:/docker/abc:def\n0::/init.scope\n'
  t.deepEqual(parseHierarchies(text), ['name=x', 'name=systemd', 'cpu,cpuacct'])
  t.deepEqual(parseHierarchies('0::/\n'), [])
})

const mountinfo = [
  '31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755',
  '32 31 0:29 /docker/abc /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuacct',
  '33 31 0:29 / /mnt/a\\040b rw - cgroup cgroup rw,cpu,cpuacct,release_agent=/x\\040y',
  '40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd',
  '41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
].join('\n')

const rows: [
  hierarchy: string,
  ...found: [mountPoint: string, isWhole: boolean, options: string] | [null],
][] = [
  ['cpu,cpuacct', '/mnt/a b', true, 'rw,cpu,cpuacct,release_agent=/x y'],
  ['name=systemd', '/sys/fs/cgroup/systemd', true, 'rw,xattr,name=systemd'],
  ['name=x', null],
  ['pids', null],
  ['cpu,pids', null],
]

for (const [hierarchy, mountPoint, isWhole, options] of rows) {
  test(`${hierarchy} is mounted at ${mountPoint ?? 'no path'}`, (t) => {
    const found = findHierarchyMount(mountinfo, hierarchy)
    t.deepEqual(found, mountPoint === null ? null : { mountPoint, isWhole, options })
  })
}

test('a mount of part of a hierarchy is found if its root is mounted nowhere', (t) => {
  const part = mountinfo.split('\n').slice(0, 2).join('\n')
  t.false(findHierarchyMount(part, 'cpu,cpuacct')?.isWhole)
})
