import test from 'ava'
import { differences } from '../../../../agent/sources/processes/modes/self-test.ts'
import { sampleProcess } from '../../../support/samples.ts'

const truth = {
  ...sampleProcess().process,
  exeFile: { device: 8, inode: 9 },
  cgroup: '/system.slice/x.service',
}
const known = { cgroups: ['/system.slice/x.service', '/other'], devices: new Set([8]) }

test('a process that was seen as it is shows no difference', (t) => {
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
  test(`another ${field} is told`, (t) => {
    t.deepEqual(differences(truth, { ...truth, [field]: value }, known), [field])
  })
}

test('a cgroup may be seen in any hierarchy, and from further up than a cgroup namespace shows', (t) => {
  t.deepEqual(differences(truth, { ...truth, cgroup: '/docker/abc/other' }, known), [])
})

test('where stat invents a device the inode is not compared, but must be there', (t) => {
  const elsewhere = { ...known, devices: new Set([1]) }
  t.deepEqual(differences(truth, { ...truth, exeFile: { device: 5, inode: 6 } }, elsewhere), [])
  t.deepEqual(differences(truth, { ...truth, exeFile: null }, elsewhere), ['exeFile'])
})
