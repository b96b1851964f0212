import test from 'ava'
import type { BreakoutFileObservation, FileWriter } from '../../../agent/model/observation.ts'
import { isMaintenance } from '../../../detectors/runtime-path-write/maintenance.ts'
import { sampleContainer } from '../../support/samples.ts'

type Ancestry = [exe: string, ...argv: string[]][]

/** The writer first, then its ancestors; the last one has pid 1. */
function seen(
  ancestry: Ancestry | null,
  rest: Partial<BreakoutFileObservation> = {},
  loginUser = '',
): BreakoutFileObservation {
  const all = (ancestry ?? []).map(([exe, ...argv], index) => ({
    pid: (ancestry?.length ?? 0) - index,
    exe,
    argv,
  }))
  const [first, ...ancestors] = all
  const writer: FileWriter | null =
    first === undefined ? null : { ...first, uid: 0, user: 'root', loginUser, ancestors }
  return {
    kind: 'breakout-file',
    time: 0,
    file: 'core_pattern',
    path: '/proc/sys/kernel/core_pattern',
    change: 'changed',
    before: 'core',
    after: '|/x',
    seenBy: 'bpf',
    writer,
    container: null,
    sinceBoot: 3_600_000,
    ...rest,
  }
}

const init: Ancestry[number] = ['/usr/lib/systemd/systemd', '/sbin/init']
const shell: Ancestry[number] = ['/usr/bin/dash', 'sh', '-c', 'x']
const atBoot = { sinceBoot: 20_000 }
const hierarchy = { file: 'cgroup_hierarchy', path: 'name=elogind', seenBy: 'poll' } as const

const rows: [what: string, is: boolean, observation: BreakoutFileObservation][] = [
  ['systemd-sysctl', true, seen([['/usr/lib/systemd/systemd-sysctl'], init])],
  ['systemd-binfmt of an older layout', true, seen([['/lib/systemd/systemd-binfmt'], init])],
  [
    'a script of a package that dpkg runs',
    true,
    seen([['/usr/sbin/sysctl'], shell, ['/usr/bin/dpkg'], ['/usr/bin/apt-get'], init]),
  ],
  ['a package manager that replaced itself', true, seen([shell, ['/usr/bin/dpkg (deleted)'], init])],
  [
    'dnf, a Python program',
    true,
    seen([shell, ['/usr/bin/python3.9', '/usr/bin/python3.9', '-Es', '/usr/bin/dnf', 'upgrade'], init]),
  ],
  ['apk', true, seen([['/bin/busybox', 'sh'], ['/sbin/apk'], init])],
  [
    'apport at startup',
    true,
    seen([['/usr/bin/python3.12', '/usr/bin/python3', '/usr/share/apport/apport', '--start'], init]),
  ],
  ['a service within the first minute', true, seen([['/usr/sbin/kdump'], shell, init], atBoot)],
  [
    'an init script within the first minute',
    true,
    seen([['/sbin/sysctl'], ['/bin/dash', 'sh', '/etc/init.d/procps'], ['/sbin/init']], atBoot),
  ],
  ['systemd mounting its hierarchy', true, seen(null, { ...hierarchy, ...atBoot })],

  ['a shell', false, seen([shell, init])],
  ['a service later', false, seen([['/usr/sbin/kdump'], shell, init])],
  ['a login shell within the first minute', false, seen([shell, ['/usr/bin/bash'], init], atBoot, 'alice')],
  [
    'an orphan with unknown ancestry',
    false,
    seen([shell, shell], { ...atBoot, writer: { ...seen([shell]).writer!, pid: 900 } }),
  ],
  ['a program that calls itself dpkg', false, seen([['/tmp/x', '/usr/bin/dpkg'], init])],
  ['a file named dpkg elsewhere', false, seen([['/tmp/dpkg'], ['/home/alice/bin/apt'], init])],
  [
    'Python with dnf as a mere argument',
    false,
    seen([['/usr/bin/python3', 'python3', '/tmp/x.py', '/usr/bin/dnf'], init]),
  ],
  [
    'a package manager in a container',
    false,
    seen([['/usr/bin/dpkg'], init], { container: sampleContainer() }),
  ],
  ['an unknown writer', false, seen(null)],
  ['an unknown writer within the first minute', false, seen(null, atBoot)],
  ['a hierarchy mounted later', false, seen(null, hierarchy)],
  [
    'a hierarchy mounted in another mount namespace',
    false,
    seen(null, { ...hierarchy, ...atBoot, holders: [{ pid: 5, exe: '/x', argv: [] }] }),
  ],
]

for (const [what, is, observation] of rows) {
  test(`${what} ${is ? 'is' : 'is not'} maintenance of the host`, (t) => {
    t.is(isMaintenance(observation), is)
  })
}
