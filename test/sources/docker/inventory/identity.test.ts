import test from 'ava'
import {
  containerOfEvent,
  containerOfInspect,
  containerOfListing,
} from '../../../../agent/sources/docker/inventory/identity.ts'
import { dockerEvent } from '../../../support/docker-event.ts'

const inspect = {
  Id: 'abc',
  Name: '/web-1',
  Created: '2026-11-24T05:34:25.987654321Z',
  Image: 'sha256:1234',
  RestartCount: 2,
  ExecIDs: ['e1', 'e2'],
  State: {
    Status: 'running',
    Running: true,
    Pid: 4242,
    StartedAt: '2026-11-24T05:34:26.113403523Z',
    OOMKilled: false,
  },
  Config: {
    User: '1000:1000',
    Tty: true,
    Image: 'nginx:1.27@sha256:00ff',
    WorkingDir: '/srv',
    Labels: {
      'com.docker.compose.project': 'shop',
      'com.docker.compose.service': 'web',
      'io.kubernetes.pod.name': 'pod',
      'io.kubernetes.pod.namespace': 'ns',
    },
    Healthcheck: { Test: ['CMD', 'curl', 'localhost'], Interval: 5_000_000_000 },
  },
  HostConfig: {
    Memory: 1024,
    NanoCpus: 1_500_000_000,
    PidsLimit: 100,
    Privileged: true,
    CapAdd: ['NET_ADMIN'],
    CapDrop: ['NET_RAW'],
    SecurityOpt: ['no-new-privileges'],
    PidMode: 'host',
    Runtime: 'runc',
    MaskedPaths: ['/proc/keys'],
    ReadonlyPaths: ['/proc/sys'],
  },
  Path: '/entry',
  Args: ['serve'],
  AppArmorProfile: 'docker-default',
  ProcessLabel: 'system_u:system_r:container_t:s0:c1,c2',
  Mounts: [{ Type: 'bind', Source: '/usr/bin', Destination: '/host', RW: true }],
}

test('an inspect response becomes a container', (t) => {
  t.deepEqual(containerOfInspect(inspect), {
    id: 'abc',
    name: 'web-1',
    engineName: 'web-1',
    createdAt: Date.parse('2026-11-24T05:34:25.987Z'),
    image: 'nginx:1.27',
    imageId: 'sha256:1234',
    labels: inspect.Config.Labels,
    composeProject: 'shop',
    composeService: 'web',
    k8sNamespace: 'ns',
    k8sPod: 'pod',
    state: 'running',
    details: {
      pid: 4242,
      startedAt: Date.parse('2026-11-24T05:34:26.113Z'),
      user: '1000:1000',
      tty: true,
      healthcheck: { argv: ['curl', 'localhost'], intervalSeconds: 5 },
      limits: { memoryBytes: 1024, cpus: 1.5, pids: 100 },
      privileged: true,
      capabilitiesAdded: ['NET_ADMIN'],
      capabilitiesDropped: ['NET_RAW'],
      securityOptions: ['no-new-privileges'],
      mounts: [{ type: 'bind', source: '/usr/bin', destination: '/host', writable: true }],
      pidMode: 'host',
      command: ['/entry', 'serve'],
      runtime: 'runc',
      maskedPaths: ['/proc/keys'],
      readonlyPaths: ['/proc/sys'],
      appArmorProfile: 'docker-default',
      processLabel: 'system_u:system_r:container_t:s0:c1,c2',
      workingDirectory: '/srv',
      restartCount: 2,
      oomKilled: false,
      execIds: ['e1', 'e2'],
    },
  })
})

test('fields that are missing or of the wrong type count as unset', (t) => {
  const unset = containerOfInspect({ Id: 'abc' })
  t.deepEqual(unset.details?.limits, { memoryBytes: null, cpus: null, pids: null })
  t.is(unset.state, 'unknown')
  const wrong = {
    Id: 'abc',
    Name: 7,
    Image: null,
    RestartCount: '2',
    ExecIDs: { 0: 'e' },
    State: 'running',
    Config: [],
    HostConfig: { Memory: '1024', CapAdd: 'ALL', NanoCpus: null, Privileged: 'true' },
    Mounts: null,
  }
  t.deepEqual(containerOfInspect(wrong), unset)
})

for (const [claim, host, limits] of [
  ['0 means no limit', { Memory: 0, NanoCpus: 0, CpuQuota: 0, PidsLimit: 0 }, [null, null, null]],
  ['-1 means no limit', { Memory: -1, CpuQuota: -1, PidsLimit: -1 }, [null, null, null]],
  ['null means no limit', { PidsLimit: null }, [null, null, null]],
  ['a quota is relative to its period', { CpuQuota: 50_000, CpuPeriod: 25_000 }, [null, 2, null]],
  ['a quota without a period is relative to 100 ms', { CpuQuota: 50_000, CpuPeriod: 0 }, [null, 0.5, null]],
] as const) {
  test(claim, (t) => {
    const details = containerOfInspect({ Id: 'abc', HostConfig: host }).details
    t.deepEqual([details?.limits.memoryBytes, details?.limits.cpus, details?.limits.pids], [...limits])
  })
}

for (const [claim, config, healthcheck] of [
  ['NONE means no health check', { Healthcheck: { Test: ['NONE'] } }, null],
  ['an empty test means no health check', { Healthcheck: { Test: [] } }, null],
  ['null means no health check', { Healthcheck: null }, null],
  [
    'a shell check runs in /bin/sh, every 30 s by default',
    { Healthcheck: { Test: ['CMD-SHELL', 'curl x || exit 1'] } },
    { argv: ['/bin/sh', '-c', 'curl x || exit 1'], intervalSeconds: 30 },
  ],
  [
    'a shell check runs in the shell of the image',
    { Shell: ['/bin/bash', '-ec'], Healthcheck: { Test: ['CMD-SHELL', 'x'], Interval: 1e9 } },
    { argv: ['/bin/bash', '-ec', 'x'], intervalSeconds: 1 },
  ],
  [
    'while the container starts the check runs every 5 s by default',
    { Healthcheck: { Test: ['CMD', 'x'], StartPeriod: 60e9 } },
    { argv: ['x'], intervalSeconds: 30, startIntervalSeconds: 5 },
  ],
] as const) {
  test(claim, (t) => {
    t.deepEqual(containerOfInspect({ Id: 'abc', Config: config }).details?.healthcheck, healthcheck)
  })
}

const task = { 'com.docker.swarm.task.id': 'x1y2', 'com.docker.swarm.task.name': 'web.3.x1y2' }
for (const [name, labels, expected] of [
  ['/web.3.x1y2', task, 'web.3'],
  ['/evil', task, 'evil'],
  ['/web.3.x1y2', { 'com.docker.swarm.task.name': 'web.3.x1y2' }, 'web.3.x1y2'],
  ['/plain', {}, 'plain'],
] as const) {
  test(`the container ${name} with ${Object.keys(labels).length} Swarm labels is named ${expected}`, (t) => {
    const container = containerOfInspect({ Id: 'abc', Name: name, Config: { Labels: labels } })
    t.deepEqual([container.name, container.engineName], [expected, name.slice(1)])
  })
}

test('an event alone gives a container its name, image and labels, without the engine’s attributes', (t) => {
  const event = dockerEvent('die', {
    attributes: { image: 'nginx@sha256:00', exitCode: '0', 'com.docker.compose.project': 'shop' },
  })
  const container = containerOfEvent(event)
  t.is(container.name, 'web')
  t.is(container.image, 'nginx')
  t.is(container.composeProject, 'shop')
  t.deepEqual(container.labels, { 'com.docker.compose.project': 'shop' })
  t.is(container.details, null)
})

test('a listing gives a container its name and state', (t) => {
  const listed = {
    Id: 'abc',
    Names: ['/web'],
    Image: 'nginx',
    ImageID: 'sha256:1',
    State: 'exited',
    Created: 1_795_500_000,
    Labels: { a: 'b' },
  }
  const { name, state, labels, createdAt } = containerOfListing(listed)
  t.deepEqual([name, state, labels, createdAt], ['web', 'exited', { a: 'b' }, 1_795_500_000_000])
})
