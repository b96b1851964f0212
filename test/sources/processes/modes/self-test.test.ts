import test from 'ava'
import { differences } from '../../../../agent/sources/processes/modes/self-test.ts'
import { sampleProcess } from '../../../support/samples.ts'

const truth = {
  ...sampleProcess().process,
  exeFile: { device: 8, inode: 9 },
  cgroup: '/system.slice/x.service',
}
const known = { cgroups: ['/system.slice/x.service', '/other'], devices: new Set([8]) }

test('a correctly reported process has no differences', (t) => {
  t.deepEqual(differences(truth, { ...truth }, known), [])
})

for (const [field, value] of Object.entries({
  pid: 1,
  parentPid: 2,
  startedAt: 3,
  uid: 4,
  euid: 5,
  gid: 6,
  capabilities: 7n,
  comm: 'x',
  exe: '/x',
  exeTruncated: true,
  exeFile: { device: 8, inode: 10 },
  argv: ['x'],
  argvTruncated: true,
  workingDirectory: '/x',
  namespaces: { ...truth.namespaces, pid: 9 },
  cgroup: '/elsewhere',
})) {
  test(`a different ${field} is detected`, (t) => {
    t.deepEqual(differences(truth, { ...truth, [field]: value }, known), [field])
  })
}

test('a cgroup may be in any hierarchy, and its path longer than inside a cgroup namespace', (t) => {
  t.deepEqual(differences(truth, { ...truth, cgroup: '/docker/abc/other' }, known), [])
})

test('if stat(2) returns a synthetic device, the inode must exist but is not compared', (t) => {
  const elsewhere = { ...known, devices: new Set([1]) }
  t.deepEqual(differences(truth, { ...truth, exeFile: { device: 5, inode: 6 } }, elsewhere), [])
  t.deepEqual(differences(truth, { ...truth, exeFile: null }, elsewhere), ['exeFile'])
})
