import test from 'ava'
import { apiRequestOf } from '../../../agent/sources/processes/api-requests.ts'
import { cgroupOf, rootCgroup } from '../../../agent/sources/processes/attribution/cgroup.ts'
import { sampleContainer } from '../../support/samples.ts'
import { inContainer, seenProcess, watched } from './samples.ts'

const id = 'a'.repeat(64)
const other = 'b'.repeat(64)
const web = sampleContainer({ id, name: 'web', details: { pid: 200 } })
const request = {
  pid: 200,
  startTicks: 20,
  uid: 7,
  euid: 0,
  cgroup: rootCgroup,
  connection: 5n,
  text: 'POST / ',
}

test('a request is attributed to the container of its process, even if that has changed its cgroup', (t) => {
  const world = watched([web])
  world.tracker.found(seenProcess({ pid: 200, startTicks: 20, ...inContainer(id) }), 1)
  const { cgroup: _cgroup, ...rest } = request
  t.deepEqual(apiRequestOf(request, 5, world), {
    kind: 'api-request',
    time: world.clock.epochOffset() + 5,
    ...rest,
    container: web,
  })
  world.tracker.close()
})

test('a request of an unknown process is attributed by its cgroup', (t) => {
  const world = watched([web])
  const containerOf = (...names: string[]) =>
    apiRequestOf({ ...request, cgroup: cgroupOf(names) }, 5, world).container
  t.is(containerOf('docker', id), web)
  t.like(containerOf('docker', other), { id: other, image: '' })
  t.like(containerOf('docker', 'buildkit', 'x'.repeat(25)), { name: 'build' })
  t.is(containerOf('system.slice'), null)
  world.tracker.close()
})
