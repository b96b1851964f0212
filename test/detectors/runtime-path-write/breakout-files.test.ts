import test from 'ava'
import { firstValueFrom, from, takeUntil, timer, toArray } from 'rxjs'
import type { BreakoutFileObservation, FileWriter } from '../../../agent/model/observation.ts'
import { runtimePathWrite } from '../../../detectors/runtime-path-write/index.ts'
import { breakoutFileDetection } from '../../../detectors/runtime-path-write/breakout-files.ts'
import { emptyMemory, observing } from '../../support/observed.ts'
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
    summary: 'sh (pid 4242) in web-1 changed kernel.core_pattern from `core` to `|/x %p`',
    subject: ['/proc/sys/kernel/core_pattern', 'changed', '|/x %p'],
    actor: 'alice with /bin/sh',
    eventKey: 'core_pattern /proc/sys/kernel/core_pattern |/x %p 4242 2000000',
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

const summaries: [what: Partial<BreakoutFileObservation>, summary: string][] = [
  [{}, 'sh (pid 4242) on the host changed kernel.core_pattern from `core` to `|/x %p`'],
  [
    { file: 'modprobe', before: '/sbin/modprobe', after: '/x' },
    'sh (pid 4242) on the host changed kernel.modprobe from `/sbin/modprobe` to `/x`',
  ],
  [
    { file: 'ld_so_preload', path: '/etc/ld.so.preload', before: null, after: '/x.so' },
    'sh (pid 4242) on the host set /etc/ld.so.preload to `/x.so`',
  ],
  [
    { file: 'uevent_helper', path: '/sys/kernel/uevent_helper', before: '/x', after: null },
    'sh (pid 4242) on the host cleared /sys/kernel/uevent_helper',
  ],
  [
    { ...binfmt, before: null, after: registration },
    'sh (pid 4242) on the host set the binfmt_misc interpreter qemu to `/proc/self/fd/7`',
  ],
  [
    { ...binfmt, before: registration, after: null },
    'sh (pid 4242) on the host removed the binfmt_misc interpreter qemu',
  ],
  [
    { ...agent, before: null, after: '/cmd', container: web },
    'sh (pid 4242) in web-1 set /mnt/x/release_agent to `/cmd`',
  ],
  [
    { ...agent, before: null, after: null, change: 'rewritten', container: web },
    'sh (pid 4242) in web-1 wrote to /mnt/x/release_agent without changing its value',
  ],
  [
    { change: 'refused', after: '@bad', container: web },
    'sh (pid 4242) in web-1 tried to set kernel.core_pattern to `@bad` (refused by the kernel)',
  ],
  [
    { ...agent, before: undefined, after: undefined },
    'sh (pid 4242) on the host wrote to /mnt/x/release_agent, which no longer exists',
  ],
  [
    { ...flag, before: undefined, after: '1', hostAgent: null, container: web },
    'sh (pid 4242) in web-1 set /sys/fs/cgroup/pids/x/notify_on_release to `1`',
  ],
  [
    { ...hierarchy, after: 'rw,name=x', container: web, holders },
    'a process in web-1 mounted a cgroup v1 hierarchy (name=x)',
  ],
  [
    { ...hierarchy, after: 'rw,name=x', holders },
    'an unknown process mounted a cgroup v1 hierarchy (name=x) in a mount namespace of the host (pid 77)',
  ],
  [
    { ...hierarchy, after: undefined, holders: [] },
    'an unknown process mounted a cgroup v1 hierarchy (name=x)',
  ],
  [
    { seenBy: 'poll', writer: null },
    'an unknown process changed kernel.core_pattern from `core` to `|/x %p`',
  ],
  [
    { writer: { ...sh, uid: null, user: '', exe: '', argv: [] } },
    'process 4242 changed kernel.core_pattern from `core` to `|/x %p`',
  ],
]

for (const [what, summary] of summaries) {
  test(`summary: ${summary}`, (t) => {
    const detection = breakoutFileDetection(seen(what))
    t.is(detection?.summary, summary)
    t.is(detection?.rule, what.container ? 'breakout-file-changed-by-container' : 'breakout-file-changed')
  })
}

const ignored: [why: string, what: Partial<BreakoutFileObservation>][] = [
  ['the host writes the current value', { change: 'rewritten', after: 'core' }],
  ['the kernel refused it to the host', { change: 'refused' }],
  [
    'the flag runs the release agent of the host',
    { ...flag, after: '1', hostAgent: '/lib/agent', container: web },
  ],
]

for (const [why, what] of ignored) {
  test(`nothing is reported if ${why}`, (t) => {
    t.is(breakoutFileDetection(seen(what)), null)
  })
}

test('the processes that have a hierarchy mounted are evidence', (t) => {
  const detection = breakoutFileDetection(seen({ ...hierarchy, after: 'rw,name=x', container: web, holders }))
  t.deepEqual(detection?.evidence['mounted_by'], holders)
})

test('a hostile value is clipped in the summary and complete in the evidence', (t) => {
  const after = 'x'.repeat(4_000)
  const detection = breakoutFileDetection(seen({ after }))
  t.true((detection?.summary.length ?? 0) < 300)
  t.is(detection?.evidence['new'], after)
})

test('the detector reports breakout files as well as runtime files', async (t) => {
  const breakoutFiles$ = from([seen(), seen({ change: 'refused' }), seen({ container: web })])
  const detections = await firstValueFrom(
    runtimePathWrite
      .detect(
        observing({ 'runtime-file': from([]), 'breakout-file': breakoutFiles$ }, { memory: emptyMemory() }),
        {},
      )
      .pipe(takeUntil(timer(50)), toArray()),
  )
  t.deepEqual(
    detections.map(({ rule }) => rule),
    ['breakout-file-changed', 'breakout-file-changed-by-container'],
  )
})
