import test from 'ava'
import { parseHierarchies } from '../../agent/ebpf/hierarchy.ts'

const header = '#subsys_name\thierarchy\tnum_cgroups\tenabled\n'
const hosts: [name: string, text: string, hierarchy: ReturnType<typeof parseHierarchies>][] = [
  ['cgroup v2 only', `${header}cpu\t0\t90\t1\nmemory\t0\t90\t1\npids\t0\t90\t1\n`, { version: 2 }],
  [
    'cgroup v1',
    `${header}cpu\t3\t9\t1\nmemory\t4\t9\t1\npids\t8\t9\t1\n`,
    { version: 1, controller: 'pids' },
  ],
  [
    'cgroup v1 without pids',
    `${header}cpu\t3\t9\t1\nmemory\t4\t9\t1\n`,
    { version: 1, controller: 'memory' },
  ],
  ['an empty /proc/cgroups', '', { version: 2 }],
]

for (const [name, text, hierarchy] of hosts) {
  test(`the hierarchy of containers is found on a host with ${name}`, (t) => {
    t.deepEqual(parseHierarchies(text), hierarchy)
  })
}
