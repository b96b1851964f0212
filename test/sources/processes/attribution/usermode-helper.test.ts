import test from 'ava'
import type { HelperPlace } from '../../../../agent/model/observation.ts'
import { noProgram } from '../../../../agent/sources/processes/table/known-process.ts'
import { usermodeHelpers, pathsOf } from '../../../../agent/sources/processes/attribution/usermode-helper.ts'
import { sampleContainer } from '../../../support/samples.ts'
import {
  hostNamespaces,
  inContainer,
  knownProcess,
  running,
  sampleMembership,
  seenProcess,
  watched,
} from '../samples.ts'

const id = 'a'.repeat(64)
const web = sampleContainer({ id, name: 'web', details: { pid: 200 } })
const membership = sampleMembership({
  id,
  entry: { pid: 200, startTicks: 600, parentPid: 50 },
  first: true,
})

/** A helper's program; `argv[0]` is the path as the kernel was given it. */
function program(comm: string, exe: string, ...argv: string[]) {
  return () => ({ ...noProgram, comm, exe, argv })
}

const kernelThread = { program: () => noProgram }
const writable = [{ type: 'bind', source: '/srv/data', destination: '/data', writable: true }]
const readable = [{ type: 'bind', source: '/srv/data', destination: '/data', writable: false }]
const everything = [{ type: 'bind', source: '/', destination: '/host', writable: true }]

const table: [string, ReturnType<typeof program>, Partial<typeof web.details>, HelperPlace | null][] = [
  [
    'a layer',
    program('h', '/var/lib/docker/overlay2/x/diff/h', '/var/lib/docker/overlay2/x/diff/h'),
    {},
    'layer',
  ],
  [
    'a script in a layer',
    program('h', '/bin/dash', '/bin/sh', '/var/lib/docker/overlay2/x/diff/h', '7'),
    {},
    'layer',
  ],
  [
    'a script with an option',
    program('h', '/bin/dash', '/bin/sh', '-e', '/var/lib/docker/overlay2/x/diff/h'),
    {},
    'layer',
  ],
  ['a container’s root', program('h', '/tmp/h', '/proc/200/root/tmp/h'), {}, 'process'],
  ['a container’s memory', program('3', '/memfd:x (deleted)', '/proc/200/fd/3'), {}, 'process'],
  [
    'a script through a container’s root',
    program('h', '/bin/dash', '/bin/sh', '/proc/200/root/h'),
    {},
    'process',
  ],
  ['a volume', program('h', '/srv/data/h', '/srv/data/h'), { mounts: writable }, 'volume'],
  ['a link into a volume', program('link', '/srv/data/h', '/etc/link'), { mounts: writable }, 'volume'],
  ['a read-only volume', program('h', '/srv/data/h', '/srv/data/h'), { mounts: readable }, null],
  [
    'a path that only starts like the volume’s',
    program('h', '/srv/database/h', '/srv/database/h'),
    { mounts: writable },
    null,
  ],
  [
    'a host helper, with / mounted in a container',
    program('modprobe', '/usr/bin/kmod', '/sbin/modprobe', '-q'),
    { mounts: everything },
    null,
  ],
  [
    'a home directory, with / mounted in a container',
    program('h', '/root/h', '/root/h'),
    { mounts: everything },
    'volume',
  ],
  ['a process of the host', program('h', '/root/h', '/proc/1/root/root/h'), {}, null],
  [
    'an argument that is not the script',
    program('dump', '/usr/bin/dump', '/usr/bin/dump', '/proc/200/root/h'),
    {},
    null,
  ],
  [
    'the host',
    program('systemd-coredum', '/lib/systemd/systemd-coredump', '/lib/systemd/systemd-coredump', '9'),
    {},
    null,
  ],
]

for (const [what, runs, details, via] of table) {
  test(`a usermode helper from ${what} is attributed to ${via === null ? 'the host' : `a container, by ${via}`}`, (t) => {
    const { table: processes, containers, tracker } = watched([sampleContainer({ id, name: 'web', details })])
    t.teardown(tracker.close)
    processes.add(knownProcess({ pid: 200, startTicks: 600, membership }))
    processes.add(knownProcess({ pid: 1, startTicks: 1 }))
    const roots = {
      byDevice: () => undefined,
      byLayer: (path: string) => (path.startsWith('/var/lib/docker/overlay2/x/') ? membership : undefined),
    }
    const { fileOf } = usermodeHelpers({ table: processes, containers, roots })
    const file = fileOf(knownProcess({ pid: 900, parentPid: 2, program: runs }))
    t.is(file?.via ?? null, via)
    t.is(file?.container?.name ?? null, via === null ? null : 'web')
  })
}

test('a usermode helper is a child of kthreadd or of a kernel thread, and in no container', (t) => {
  const { table: processes, containers, tracker } = watched([web])
  t.teardown(tracker.close)
  const roots = { byDevice: () => undefined, byLayer: () => undefined }
  const { isHelper } = usermodeHelpers({ table: processes, containers, roots })
  processes.add(knownProcess({ pid: 40, parentPid: 2, ...kernelThread }))
  processes.add(knownProcess({ pid: 41, parentPid: 2, program: running('modprobe') }))
  t.true(isHelper(knownProcess({ pid: 900, parentPid: 2 })))
  t.true(isHelper(knownProcess({ pid: 900, parentPid: 40 })))
  t.false(isHelper(knownProcess({ pid: 900, parentPid: 41 })), 'the child of a helper')
  t.false(isHelper(knownProcess({ pid: 900, parentPid: 1 })))
  t.false(isHelper(knownProcess({ pid: 900, parentPid: 2, membership })))
})

test('a usermode helper whose file is on a container’s root is reported once, and does not belong to the container', (t) => {
  const { tracker, observed, helpers, table: processes } = watched([web])
  t.teardown(tracker.close)
  tracker.executed(seenProcess({ pid: 200, startTicks: 600, parentPid: 50, ...inContainer(id) }), 6_000)
  const owner = processes.get(200)?.membership ?? t.fail()
  t.is(observed().length, 1)
  tracker.executed(
    seenProcess({
      pid: 900,
      startTicks: 900,
      parentPid: 2,
      namespaces: hostNamespaces,
      program: program('h', '/h', '/proc/200/root/h', '11'),
    }),
    9_000,
  )
  t.is(observed().length, 1)
  t.like(helpers(), [
    { kind: 'usermode-helper', path: '/proc/200/root/h', via: 'process', container: { name: 'web' } },
  ])
  t.is(helpers().length, 1)
  t.is(processes.get(900)?.membership, null)
  t.is(owner.id, id)
})

test('the script path is the interpreter argument that matches the process name', (t) => {
  const named = Buffer.from('a-long-name-of-a-handler').subarray(0, 15).toString()
  const rows: [string, string[], string[]][] = [
    ['h', ['/bin/sh', '/x/h'], ['/bin/sh', '/bin/dash', '/x/h']],
    ['h', ['/bin/sh', '-e', '/x/h'], ['/bin/sh', '/bin/dash', '/x/h']],
    [
      named,
      ['/bin/sh', '/x/a-long-name-of-a-handler'],
      ['/bin/sh', '/bin/dash', '/x/a-long-name-of-a-handler'],
    ],
    ['dash', ['/bin/dash', '/x/h'], ['/bin/dash', '/bin/dash']],
    ['', ['/bin/sh', ''], ['/bin/sh', '/bin/dash']],
    ['h', [], ['/bin/dash']],
  ]
  for (const [comm, argv, paths] of rows) t.deepEqual(pathsOf({ exe: '/bin/dash', argv, comm }), paths)
})
