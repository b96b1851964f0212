import test from 'ava'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readlinkSync, statSync } from 'node:fs'
import { hostUsers } from '../../../../agent/linux/host-users.ts'
import { bootClock } from '../../../../agent/linux/boot-clock.ts'
import { noProgram, type Program } from '../../../../agent/sources/processes/table/known-process.ts'
import { type ProcessTable, processTable } from '../../../../agent/sources/processes/table/table.ts'
import { identifyWriter } from '../../../../agent/sources/runtime-files/watch/writer.ts'
import { inContainer, knownProcess } from '../../processes/samples.ts'
import { sampleContainer } from '../../../support/samples.ts'

function identify(table: ProcessTable = processTable({ clock: bootClock() }), seesAllProcesses = false) {
  const container = sampleContainer()
  const containerOfPid = (pid: number) => ((table.latest(pid)?.cgroup.ids.length ?? 0) > 0 ? container : null)
  return identifyWriter({
    table,
    catchUp: () => seesAllProcesses,
    containerOfPid,
    procRoot: '/proc',
    users: hostUsers(),
  })
}

const runs = (program: Partial<Program>) => () => ({ ...noProgram, ...program })

test('a running process is named with its user, executable and arguments', (t) => {
  const { writer } = identify()(process.pid)
  t.like(writer, { pid: process.pid, uid: 0, user: 'root', exe: readlinkSync('/proc/self/exe') })
  t.true((writer?.argv.length ?? 0) > 1)
})

test('of an exited process that is not in the table only the pid is known', async (t) => {
  const child = spawn('true')
  await once(child, 'close')
  const pid = child.pid ?? 0
  t.deepEqual(identify()(pid), {
    writer: {
      ...{ pid, uid: null, user: '', loginUser: '', exe: '', argv: [], ancestors: [], packageManager: '' },
      unknownBecause: 'it had exited before it could be inspected',
    },
    container: null,
    pending: null,
  })
})

test('pid 0 is an unknown process', (t) => {
  t.deepEqual(identify()(0), { writer: null, container: null })
})

test('very long arguments are truncated', async (t) => {
  const child = spawn('sh', ['-c', 'read end', 'x'.repeat(100_000)])
  await once(child, 'spawn')
  const { writer } = identify()(child.pid ?? 0)
  child.stdin.end()
  t.true((writer?.argv.join(' ').length ?? 0) <= 2_048)
})

// A pid above every kernel limit, so that /proc has no entry for it.
const gone = 5_000_000

test('of an exited process the table knows program, user, ancestors and container', (t) => {
  const table = processTable({ clock: bootClock() })
  table.add(knownProcess({ pid: gone, startTicks: 1, program: runs({ exe: '/bin/bash', argv: ['-bash'] }) }))
  const writer = knownProcess({
    pid: gone + 1,
    startTicks: 2,
    euid: 0,
    creatorPid: gone,
    creatorStartTicks: 1,
    ...inContainer('a'.repeat(64)),
    program: runs({ exe: '/bin/dd', argv: ['dd', 'of=/mnt/runc'] }),
  })
  table.add(writer)
  table.end(writer, bootClock().sinceBoot() - 100, null)
  const seen = identify(table)(gone + 1)
  t.like(seen, {
    writer: {
      pid: gone + 1,
      uid: 0,
      user: 'root',
      exe: '/bin/dd',
      argv: ['dd', 'of=/mnt/runc'],
      ancestors: [{ pid: gone, exe: '/bin/bash', argv: ['-bash'] }],
      packageManager: '',
    },
    container: { name: 'web-1' },
  })
})

test('an exited process is pending until its exit is read, because its program may change until then', (t) => {
  const table = processTable({ clock: bootClock() })
  const ask = () => identify(table, true)(gone)
  t.is(ask().pending, 'writer')
  const fork = knownProcess({ pid: gone, startTicks: 1, program: runs({ exe: '/bin/sh', argv: ['sh'] }) })
  table.add(fork)
  t.is(ask().pending, 'writer')
  fork.program = runs({ exe: '/bin/rm', argv: ['rm', 'runc'] })
  table.end(fork, bootClock().sinceBoot(), null)
  t.like(ask(), { pending: null, writer: { argv: ['rm', 'runc'], unknownBecause: undefined } })
})

test('of a process whose exit is its only known event the pid is reported, with the reason', (t) => {
  const table = processTable({ clock: bootClock() })
  const stranger = knownProcess({ pid: gone, startTicks: 1, program: runs({}) })
  table.add(stranger)
  table.end(stranger, bootClock().sinceBoot(), null)
  t.like(identify(table, true)(gone), {
    pending: null,
    writer: {
      uid: null,
      unknownBecause: 'it had exited, and the kernel dropped events under load',
    },
  })
})

type Line = { exe: string; argv?: string[]; inside?: boolean; ownFile?: boolean }

/** The package manager that a writer with these ancestors, nearest first, is attributed to. */
function managerOf(lines: readonly Line[]): string | undefined {
  const table = processTable({ clock: bootClock() })
  for (const [index, { exe, argv = [exe], inside = false, ownFile = false }] of lines.entries()) {
    const { dev, ino } = statSync(ownFile ? process.execPath : exe, { throwIfNoEntry: false }) ?? {
      dev: 1,
      ino: 1,
    }
    table.add(
      knownProcess({
        pid: gone + index,
        startTicks: 100 - index,
        creatorPid: gone + index + 1,
        creatorStartTicks: 99 - index,
        ...(inside && inContainer('a'.repeat(64))),
        program: runs({ exe, argv, exeFile: { device: dev, inode: ino } }),
      }),
    )
  }
  return identify(table)(gone).writer?.packageManager
}

const cp = { exe: '/bin/cp' }
const rows: [string, string, Line[]][] = [
  ['dpkg', 'dpkg', [{ exe: '/usr/bin/dpkg' }]],
  ['dpkg that was upgraded while it runs', 'dpkg', [{ exe: '/usr/bin/dpkg (deleted)' }]],
  ['what a package’s script runs', 'dpkg', [cp, { exe: '/bin/dash' }, { exe: '/usr/bin/dpkg' }]],
  [
    'dnf, a Python program',
    'dnf',
    [{ exe: '/usr/bin/python3.9', argv: ['/usr/bin/python3.9', '/usr/bin/dnf', '-y', 'upgrade'] }],
  ],
  [
    'yum of an older host',
    'yum',
    [{ exe: '/usr/bin/python2.7', argv: ['/usr/bin/python', '-Es', '/usr/bin/yum', 'update'] }],
  ],
  ['another Python program', '', [{ exe: '/usr/bin/python3.9', argv: ['python3', '/tmp/dnf'] }]],
  ['rpm', 'rpm', [{ exe: '/usr/bin/rpm' }]],
  ['apk', 'apk', [{ exe: '/sbin/apk' }]],
  ['snapd', 'snapd', [{ exe: '/usr/lib/snapd/snapd' }]],
  ['a program that only calls itself dpkg', '', [{ exe: '/tmp/dpkg', argv: ['dpkg'] }]],
  ['dpkg only by argv', '', [{ exe: '/bin/sh', argv: ['/usr/bin/dpkg'] }]],
  ['a container’s own dpkg', '', [{ exe: '/usr/bin/dpkg', inside: true, ownFile: true }]],
  ['the host’s dpkg run by a node agent in a container', 'dpkg', [{ exe: '/usr/bin/dpkg', inside: true }]],
]
for (const [what, manager, lines] of rows) {
  test(`${what} is ${manager || 'no package manager'}`, (t) => t.is(managerOf(lines), manager))
}
