import test from 'ava'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bootClock } from '../../../../agent/linux/boot-clock.ts'
import { containerOfPid } from '../../../../agent/sources/processes/attribution/container-of-pid.ts'
import { processTable } from '../../../../agent/sources/processes/table/table.ts'
import { temporaryFolder } from '../../runtime-files/decoy.ts'
import { sampleContainer } from '../../../support/samples.ts'

const web = sampleContainer()
const other = 'c'.repeat(64)

test('a running process that is not in the table is attributed by its cgroup, even before the engine reports the container', (t) => {
  const procRoot = temporaryFolder(t)
  const cgroups: [number, string][] = [
    [1, `0::/system.slice/docker-${web.id}.scope`],
    [2, `0::/system.slice/docker-${other}.scope`],
    [3, '0::/system.slice/ssh.service'],
  ]
  for (const [pid, cgroup] of cgroups) {
    mkdirSync(join(procRoot, String(pid)))
    writeFileSync(join(procRoot, String(pid), 'cgroup'), `${cgroup}\n`)
  }
  const all = () => [web]
  const containers = { get: (id: string) => (id === web.id ? web : undefined), all, running: all }
  const of = containerOfPid({ table: processTable({ clock: bootClock() }), containers, procRoot })
  t.is(of(1), web)
  t.like(of(2), { id: other, name: 'cccccccccccc', state: 'unknown' })
  t.is(of(3), null)
  t.is(of(4), null)
})
