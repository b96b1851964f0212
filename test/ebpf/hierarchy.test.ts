import test from 'ava'
import { parseHierarchies } from '../../agent/ebpf/hierarchy.ts'

const header = '#subsys_name\thierarchy\tnum_cgroups\tenabled\n'
const hosts: [name: string, text: string, hierarchy: ReturnType<typeof parseHierarchies>][] = [
  ['version 2 alone', `${header}cpu\t0\t90\t1\nmemory\t0\t90\t1\npids\t0\t90\t1\n`, { version: 2 }],
  [
    'version 1',
    `${header}cpu\t3\t9\t1\nmemory\t4\t9\t1\npids\t8\t9\t1\n`,
    { version: 1, controller: 'pids' },
  ],
  [
    'version 1 without pids',
    `${header}cpu\t3\t9\t1\nmemory\t4\t9\t1\n`,
    { version: 1, controller: 'memory' },
  ],
  ['a kernel that tells nothing', '', { version: 2 }],
]

for (const [name, text, hierarchy] of hosts) {
  test(`containers are looked for in the right hierarchy on a host with ${name}`, (t) => {
    t.deepEqual(parseHierarchies(text), hierarchy)
  })
}
