import test from 'ava'
import { firstValueFrom, from, takeUntil, timer, toArray } from 'rxjs'
import type { BreakoutFileObservation, FileWriter } from '../../../agent/model/observation.ts'
import { runtimePathWrite } from '../../../detectors/runtime-path-write/index.ts'
import { breakoutFileDetection } from '../../../detectors/runtime-path-write/breakout-files.ts'
import { emptyMemory, silent } from '../../support/observed.ts'
import { sampleContainer } from '../../support/samples.ts'

const sh: FileWriter = {
  pid: 4_242,
  uid: 0,
  user: 'root',
  loginUser: 'alice',
  exe: '/bin/sh',
  argv: ['sh', '-c', 'echo evil'],
  ancestors: [{ pid: 4_200, exe: '/usr/bin/bash', argv: ['-bash'] }],
}

const seen = (what: Partial<BreakoutFileObservation> = {}): BreakoutFileObservation => ({
  kind: 'breakout-file',
  time: 2_000_000.25,
  file: 'core_pattern',
  path: '/proc/sys/kernel/core_pattern',
  change: 'changed',
  before: 'core',
  after: '|/x %p',
  seenBy: 'bpf',
  writer: sh,
  container: null,
  sinceBoot: 3_600_000,
  ...what,
})
const web = sampleContainer({ name: 'web-1' })

test('a change by a container is critical and names process, container, old and new value', (t) => {
  t.deepEqual(breakoutFileDetection(seen({ container: web })), {
    rule: 'breakout-file-changed-by-container',
    time: 2_000_000.25,
    container: web,
    summary: 'kernel.core_pattern was set from “core” to “|/x %p” by sh (pid 4242) in container web-1',
    subject: ['/proc/sys/kernel/core_pattern', '|/x %p'],
    act: 'core_pattern /proc/sys/kernel/core_pattern |/x %p 4242 2000000',
    evidence: {
      file: 'core_pattern',
      path: '/proc/sys/kernel/core_pattern',
      old: 'core',
      new: '|/x %p',
      seen_by: 'bpf',
      writer: {
        pid: 4_242,
        uid: 0,
        user: 'root',
        login_user: 'alice',
        exe: '/bin/sh',
        argv: ['sh', '-c', 'echo evil'],
        ancestors: ['-bash (pid 4200)'],
      },
    },
  })
  t.is(runtimePathWrite.rules['breakout-file-changed-by-container']?.severity, 'critical')
  t.is(runtimePathWrite.rules['breakout-file-changed']?.severity, 'warning')
})

const registration = 'enabled\ninterpreter /proc/self/fd/7\nflags: F\noffset 0\nmagic 7f45'
const binfmt = { file: 'binfmt_misc', path: '/proc/sys/fs/binfmt_misc/qemu' } as const
const agent = { file: 'release_agent', path: '/mnt/x/release_agent' } as const
const flag = { file: 'notify_on_release', path: '/sys/fs/cgroup/pids/x/notify_on_release' } as const
const hierarchy = { file: 'cgroup_hierarchy', path: 'name=x', before: null, writer: null } as const
const holders = [{ pid: 77, exe: '/bin/sh', argv: ['sh'] }]

const told: [what: Partial<BreakoutFileObservation>, summary: string][] = [
  [{}, 'kernel.core_pattern was set from “core” to “|/x %p” by sh (pid 4242) on the host'],
  [
    { file: 'modprobe', before: '/sbin/modprobe', after: '/x' },
    'kernel.modprobe was set from “/sbin/modprobe” to “/x” by sh (pid 4242) on the host',
  ],
  [
    { file: 'ld_so_preload', path: '/etc/ld.so.preload', before: null, after: '/x.so' },
    '/etc/ld.so.preload was set to “/x.so” by sh (pid 4242) on the host',
  ],
  [
    { file: 'uevent_helper', path: '/sys/kernel/uevent_helper', before: '/x', after: null },
    '/sys/kernel/uevent_helper was emptied by sh (pid 4242) on the host',
  ],
  [
    { ...binfmt, before: null, after: registration },
    'the interpreter qemu of binfmt_misc was set to “/proc/self/fd/7” by sh (pid 4242) on the host',
  ],
  [
    { ...binfmt, before: registration, after: null },
    'the interpreter qemu of binfmt_misc was removed by sh (pid 4242) on the host',
  ],
  [
    { ...agent, before: null, after: '/cmd', container: web },
    '/mnt/x/release_agent was set to “/cmd” by sh (pid 4242) in container web-1',
  ],
  [
    { ...agent, before: null, after: null, change: 'rewritten', container: web },
    '/mnt/x/release_agent was written to, and holds what it held before, by sh (pid 4242) in container web-1',
  ],
  [
    { change: 'refused', after: '@bad', container: web },
    'kernel.core_pattern was to be set to “@bad”, which the kernel refused, by sh (pid 4242) in container web-1',
  ],
  [
    { ...agent, before: undefined, after: undefined },
    '/mnt/x/release_agent was written to, and is gone since, by sh (pid 4242) on the host',
  ],
  [
    { ...flag, before: undefined, after: '1', hostAgent: null, container: web },
    '/sys/fs/cgroup/pids/x/notify_on_release was set to “1” by sh (pid 4242) in container web-1',
  ],
  [
    { ...hierarchy, after: 'rw,name=x', container: web, holders },
    'a cgroup hierarchy of version 1, name=x, was mounted in container web-1',
  ],
  [
    { ...hierarchy, after: 'rw,name=x', holders },
    'a cgroup hierarchy of version 1, name=x, was mounted in a mount namespace of the host (pid 77)',
  ],
  [
    { ...hierarchy, after: undefined, holders: [] },
    'a cgroup hierarchy of version 1, name=x, was mounted by an unknown process',
  ],
  [
    { seenBy: 'poll', writer: null },
    'kernel.core_pattern was set from “core” to “|/x %p” by an unknown process',
  ],
  [
    { writer: { ...sh, uid: null, user: '', exe: '', argv: [] } },
    'kernel.core_pattern was set from “core” to “|/x %p” by process 4242',
  ],
]

for (const [what, summary] of told) {
  test(`it is told that ${summary}`, (t) => {
    const detection = breakoutFileDetection(seen(what))
    t.is(detection?.summary, summary)
    t.is(detection?.rule, what.container ? 'breakout-file-changed-by-container' : 'breakout-file-changed')
  })
}

const quiet: [why: string, what: Partial<BreakoutFileObservation>][] = [
  ['the host writes what is there already', { change: 'rewritten', after: 'core' }],
  ['the kernel refused it to the host', { change: 'refused' }],
  [
    'the flag makes the agent of the host run',
    { ...flag, after: '1', hostAgent: '/lib/agent', container: web },
  ],
]

for (const [why, what] of quiet) {
  test(`nothing is told where ${why}`, (t) => {
    t.is(breakoutFileDetection(seen(what)), null)
  })
}

test('what was learned of who has a hierarchy mounted is evidence', (t) => {
  const detection = breakoutFileDetection(seen({ ...hierarchy, after: 'rw,name=x', container: web, holders }))
  t.deepEqual(detection?.evidence['mounted_by'], holders)
})

test('a hostile value is cut in the summary and kept in the evidence', (t) => {
  const after = 'x'.repeat(4_000)
  const detection = breakoutFileDetection(seen({ after }))
  t.true((detection?.summary.length ?? 0) < 300)
  t.is(detection?.evidence['new'], after)
})

test('the detector tells of breakout files beside runtime files', async (t) => {
  const breakoutFiles$ = from([seen(), seen({ change: 'refused' }), seen({ container: web })])
  const detections = await firstValueFrom(
    runtimePathWrite
      .detect({ ...silent, memory: emptyMemory(), runtimeFiles$: from([]), breakoutFiles$ }, {})
      .pipe(takeUntil(timer(50)), toArray()),
  )
  t.deepEqual(
    detections.map(({ rule }) => rule),
    ['breakout-file-changed', 'breakout-file-changed-by-container'],
  )
})
