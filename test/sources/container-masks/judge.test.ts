import test from 'ava'
import type { ContainerDetails } from '../../../agent/model/container.ts'
import type { MaskKind } from '../../../agent/model/observation.ts'
import { defaultMasks, fixture, missingIn } from './samples.ts'

const bind = (destination: string) => ({ type: 'bind', source: '/srv/x', destination, writable: true })

const whole: [string, Partial<ContainerDetails>][] = [
  ['normal', {}],
  ['terminal', { tty: true }],
  ['init', {}],
  ['read-only', {}],
  ['pid-host', { pidMode: 'host' }],
  ['lxcfs', { mounts: [bind('/proc/meminfo'), bind('/proc/cpuinfo')] }],
  ['unconfined', { maskedPaths: [], readonlyPaths: [] }],
  ['devices', { mounts: [bind('/dev')] }],
]
for (const [name, details] of whole) {
  test(`nothing is missing in a real container (${name})`, (t) => {
    t.deepEqual(missingIn(fixture(name), details), [])
  })
}

const over = (line: string) => (text: string) => `${text}${line}\n`
const without = (path: string) => (text: string) =>
  text
    .split('\n')
    .filter((line) => line.split(' ')[4] !== path)
    .join('\n')
const instead = (path: string, line: string) => (text: string) => over(line)(without(path)(text))

const corePattern = '0:53 /sys/kernel/core_pattern'
const tampered: [
  string,
  string,
  (text: string) => string,
  MaskKind,
  string,
  string,
  Partial<ContainerDetails>?,
][] = [
  [
    'a procfs file over a masked file',
    'normal',
    over(`90 114 ${corePattern} /proc/keys rw - proc proc rw`),
    'masked-path',
    '/proc/keys',
    'proc from /sys/kernel/core_pattern, writable',
  ],
  [
    'a procfs file instead of a mask (CVE-2025-31133)',
    'normal',
    instead('/proc/timer_list', `90 114 ${corePattern} /proc/timer_list rw - proc proc rw`),
    'masked-path',
    '/proc/timer_list',
    'proc from /sys/kernel/core_pattern, writable',
  ],
  [
    'a removed mask',
    'normal',
    without('/proc/keys'),
    'masked-path',
    '/proc/keys',
    'nothing is mounted on it',
  ],
  [
    'a removed mask of a folder',
    'normal',
    without('/sys/firmware'),
    'masked-path',
    '/sys/firmware',
    'nothing is mounted on it',
  ],
  [
    'a writable folder as a mask',
    'normal',
    over('90 114 0:99 / /proc/acpi rw - tmpfs tmpfs rw'),
    'masked-path',
    '/proc/acpi',
    'tmpfs from /, writable',
  ],
  [
    'a file of the container as a mask',
    'normal',
    over('90 114 0:54 /other /proc/keys rw - tmpfs tmpfs rw'),
    'masked-path',
    '/proc/keys',
    'tmpfs from /other, writable',
  ],
  [
    '/proc/sys made writable',
    'normal',
    over('90 114 0:53 /sys /proc/sys rw - proc proc rw'),
    'readonly-path',
    '/proc/sys',
    'proc from /sys, writable',
  ],
  [
    '/proc/sys unmounted',
    'normal',
    without('/proc/sys'),
    'readonly-path',
    '/proc/sys',
    'nothing is mounted on it',
  ],
  [
    'another procfs file over a read-only path',
    'normal',
    over('90 114 0:53 /sysrq-trigger /proc/bus ro - proc proc rw'),
    'readonly-path',
    '/proc/bus',
    'proc from /sysrq-trigger, read-only',
  ],
  [
    'a procfs subtree mounted elsewhere',
    'normal',
    over(`90 114 ${corePattern} /tmp/x rw - proc proc rw`),
    'masked-path',
    '/tmp/x',
    'proc from /sys/kernel/core_pattern, writable',
  ],
  [
    'a procfs file as the terminal (CVE-2025-52565)',
    'terminal',
    over(`90 114 ${corePattern} /dev/console rw - proc proc rw`),
    'console',
    '/dev/console',
    'proc from /sys/kernel/core_pattern, writable',
    { tty: true },
  ],
  [
    'a console without a terminal',
    'normal',
    over(`90 114 0:53 /sysrq-trigger /dev/console rw - proc proc rw`),
    'console',
    '/dev/console',
    'proc from /sysrq-trigger, writable',
  ],
  [
    'a missing terminal',
    'normal',
    (text) => text,
    'console',
    '/dev/console',
    'nothing is mounted on it',
    { tty: true },
  ],
  [
    'other terminals',
    'normal',
    over('90 114 0:99 / /dev/pts rw - tmpfs tmpfs rw'),
    'terminals',
    '/dev/pts',
    'tmpfs from /, writable',
  ],
  ['missing terminals', 'normal', without('/dev/pts'), 'terminals', '/dev/pts', 'nothing is mounted on it'],
]
for (const [what, name, edit, kind, path, found, details] of tampered) {
  test(`${what} is reported at its exact path`, (t) => {
    t.deepEqual(missingIn(fixture(name, edit), details), [{ what: kind, path, found }])
  })
}

test('a path that did not exist when it would have been hidden is not reported', (t) => {
  const mounts = fixture('normal', without('/proc/keys'))
  t.deepEqual(
    missingIn(mounts, {}, { absent: new Set([...defaultMasks.maskedPaths, '/proc/sysrq-trigger']) }),
    [],
  )
})

test('a deleted null device, the host’s null device and a masked parent folder all count as a mask', (t) => {
  const rows = [
    '90 114 0:54 /null//deleted /proc/keys rw - tmpfs tmpfs rw',
    '90 114 0:6 /null /proc/keys rw - devtmpfs udev rw',
  ]
  for (const row of rows) t.deepEqual(missingIn(fixture('normal', over(row))), [], row)
  t.deepEqual(missingIn(fixture('normal'), { maskedPaths: ['/proc/acpi', '/proc/acpi/wakeup'] }), [])
  t.deepEqual(
    missingIn(fixture('normal'), { readonlyPaths: ['/sys/kernel', '/sys'] }),
    [],
    'the parent is read-only',
  )
})

test('a container that may mount file systems may mount procfs, and configured mounts are allowed anywhere', (t) => {
  const mounts = fixture('normal', over(`90 114 ${corePattern} /tmp/x rw - proc proc rw`))
  t.deepEqual(missingIn(mounts, { capabilitiesAdded: ['SYS_ADMIN'] }), [])
  t.deepEqual(missingIn(mounts, { capabilitiesAdded: ['CAP_SYS_ADMIN'] }), [])
  t.deepEqual(missingIn(mounts, { privileged: true }), [])
  t.deepEqual(missingIn(mounts, { mounts: [bind('/tmp')] }), [])
  t.is(missingIn(mounts, { capabilitiesAdded: ['NET_ADMIN'] }).length, 1)
})

test('the label is compared with the one that the engine chose', (t) => {
  const selinux = 'system_u:system_r:container_t:s0:c1,c2'
  const rows: [string, Partial<ContainerDetails>, string | null, boolean][] = [
    ['enforced', { appArmorProfile: 'docker-default' }, 'docker-default (enforce)', true],
    [
      'in complain mode, as on the host',
      { appArmorProfile: 'docker-default' },
      'docker-default (complain)',
      true,
    ],
    ['in a namespace', { appArmorProfile: 'docker-default' }, ':lxd-x:docker-default (enforce)', true],
    ['stacked', { appArmorProfile: 'docker-default' }, 'docker-default//&other (enforce)', true],
    ['lost (CVE-2025-52881)', { appArmorProfile: 'docker-default' }, 'unconfined', false],
    ['another', { appArmorProfile: 'docker-default' }, 'docker-default-2 (enforce)', false],
    ['unconfined as configured', { appArmorProfile: 'unconfined' }, 'unconfined', true],
    ['none on the host', { appArmorProfile: '' }, 'unconfined', true],
    ['unreadable', { appArmorProfile: 'docker-default' }, null, true],
    ['SELinux', { processLabel: selinux }, selinux, true],
    ['SELinux lost', { processLabel: selinux }, 'system_u:system_r:unconfined_service_t:s0', false],
  ]
  for (const [what, details, label, isWhole] of rows) {
    t.deepEqual(
      missingIn(fixture('normal'), details, { label }).map((one) => one.what),
      isWhole ? [] : ['security-label'],
      what,
    )
  }
})

test('a missing seccomp filter is reported if the container should have one', (t) => {
  const rows: [string, Partial<ContainerDetails>, number | null, boolean][] = [
    ['filtered', {}, 2, true],
    ['none', {}, 0, false],
    ['strict mode', {}, 1, false],
    ['privileged', { privileged: true, maskedPaths: [], readonlyPaths: [] }, 0, true],
    ['unconfined', { securityOptions: ['seccomp=unconfined'] }, 0, true],
    ['unconfined, in the old syntax', { securityOptions: ['seccomp:unconfined'] }, 0, true],
    ['a profile of its own', { securityOptions: ['seccomp={"defaultAction":"x"}'] }, 0, false],
    ['unreadable', {}, null, true],
  ]
  for (const [what, details, seccomp, isWhole] of rows) {
    t.deepEqual(
      missingIn(fixture('normal'), details, { seccomp }).map((one) => one.what),
      isWhole ? [] : ['seccomp'],
      what,
    )
  }
})
