import test from 'ava'
import {
  cgroupOf,
  containerOf,
  parseCgroupFile,
} from '../../../../agent/sources/processes/attribution/cgroup.ts'
import { sampleContainer } from '../../../support/samples.ts'

const id = '0123456789abcdef'.repeat(4)
const inner = 'f'.repeat(64)
const step = 'fkdqncjzranphcvswb72bmp1v'

const paths: [what: string, path: string, ids: string[], build: string][] = [
  ['Docker, cgroupfs driver', `docker/${id}`, [id], ''],
  ['Docker, systemd driver', `system.slice/docker-${id}.scope`, [id], ''],
  ['a custom parent', `my.slice/my-web.slice/docker-${id}.scope`, [id], ''],
  ['Podman', `machine.slice/libpod-${id}.scope/container`, [id], ''],
  ['Podman’s monitor, outside the container', `machine.slice/libpod-conmon-${id}.scope`, [], ''],
  [
    'Kubernetes, containerd',
    `kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-${id}.scope`,
    [id],
    '',
  ],
  ['Kubernetes, cgroupfs driver', `kubepods/besteffort/pod1-2/${id}`, [id], ''],
  ['containerd without systemd', `system.slice:cri-containerd:${id}`, [id], ''],
  ['a cgroup created inside the container', `docker/${id}/init.scope`, [id], ''],
  ['Docker in Docker', `docker/${id}/docker/${inner}`, [id, inner], ''],
  ['a build step, cgroupfs driver', `docker/buildkit/${step}`, [], step],
  ['a build step, systemd driver', `system.slice/docker-${step}.scope`, [], step],
  ['a build step of BuildKit in a container', `docker/${id}/buildkit/${step}`, [id], ''],
  ['a service of the host', 'system.slice/docker.service', [], ''],
  ['63 digits', `docker/${id.slice(1)}`, [], ''],
  ['65 digits', `docker/a${id}`, [], ''],
]

for (const [what, path, ids, build] of paths) {
  test(`container ids are parsed from the cgroup path: ${what}`, (t) => {
    t.deepEqual(cgroupOf(path.split('/')), { path: `/${path}`, ids, build })
  })
}

test('a truncated path is marked', (t) => {
  t.is(cgroupOf(['x', 'y'], true).path, '…/x/y')
})

test('a process belongs to the outermost container that the engine knows', (t) => {
  const known = (...ids: string[]) => ({
    get: (wanted: string) => (ids.includes(wanted) ? sampleContainer({ id: wanted }) : undefined),
    all: () => [],
    running: () => [],
  })
  const cgroup = cgroupOf(['docker', id, 'docker', inner])
  t.is(containerOf(cgroup, known(id, inner))?.id, id)
  // An engine that itself runs in a container sees the names of the host's engine too.
  t.is(containerOf(cgroup, known(inner))?.id, inner)
  t.is(containerOf(cgroup, known()), undefined)
})

test('the hierarchy in /proc/PID/cgroup that names a container wins', (t) => {
  const v1 = `9:name=systemd:/\n8:pids:/docker/${id}\n4:memory:/\n0::/system.slice/containerd.service\n`
  t.deepEqual(parseCgroupFile(v1).ids, [id])
  t.is(parseCgroupFile('0::/user.slice/user-0.slice\n').path, '/user.slice/user-0.slice')
  t.is(parseCgroupFile('0::/\n').path, '/')
  t.is(parseCgroupFile('').path, '/')
  t.is(parseCgroupFile('nonsense').path, '/')
})
