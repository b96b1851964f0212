import { readFileSync, writeFileSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import { sysctls } from '../../../../agent/sources/breakout-files/sysctls.ts'
import {
  openSysctlWatch,
  type SysctlWatchOptions,
} from '../../../../agent/sources/breakout-files/sysctl-writes/watch.ts'
import type { SysctlWrite } from '../../../../agent/sources/breakout-files/sysctl-writes/record.ts'
import { bootClock } from '../../../../agent/linux/boot-clock.ts'
import { loadProgram, programTypes } from '../../../../agent/linux/bpf.ts'
import { assembler, r0 } from '../../../../agent/ebpf/assembler.ts'
import { findHierarchy } from '../../../../agent/ebpf/hierarchy.ts'
import { parseCgroupMounts } from '../../../../agent/sources/resources/cgroup-mounts.ts'
import { corePattern, withCorePattern } from '../../../support/core-pattern.ts'
import { run } from '../../../support/processes.ts'

// Needs root, a real kernel and a cgroup v2 mount, which every host has since systemd 233.

const serial = test.serial
const names = sysctls.map(({ name }) => name)
const { v2 } = parseCgroupMounts(readFileSync('/proc/self/mountinfo', 'utf8'), '/sys/fs/cgroup')
const usual = { cgroup2: v2?.mountPoint ?? '', hierarchy: findHierarchy('/proc'), names }

function open(t: ExecutionContext, options: Partial<SysctlWatchOptions> = {}) {
  const watch = openSysctlWatch({ ...usual, ...options })
  t.teardown(() => watch.close())
  const writes = () => {
    const all: SysctlWrite[] = []
    while (watch.drain((write) => all.push(write)));
    return all
  }
  return { watch, writes }
}

serial('setting a value and restoring it at once is reported twice, with the exact writer', async (t) => {
  const { writes } = open(t)
  await withCorePattern((before) => {
    const from = bootClock().sinceBoot()
    writeFileSync(corePattern, '|/bin/false %p\n')
    writeFileSync(corePattern, `${before}\n`)
    const to = bootClock().sinceBoot()
    const ours = writes().filter(({ pid }) => pid === process.pid)
    t.deepEqual(
      ours.map((write) => [write.before, write.written.toString(), write.position, names[write.index]]),
      [
        [before, '|/bin/false %p\n', 0, 'kernel/core_pattern'],
        ['|/bin/false %p', `${before}\n`, 0, 'kernel/core_pattern'],
      ],
    )
    t.true(ours.every(({ uid, euid }) => uid === process.getuid?.() && euid === uid))
    t.true(ours.every(({ sinceBoot }) => sinceBoot >= from && sinceBoot <= to))
  })
})

serial('a long value is truncated', async (t) => {
  const { writes } = open(t)
  await withCorePattern(() => {
    writeFileSync(corePattern, 'x'.repeat(1_000))
    const [write] = writes().filter(({ pid }) => pid === process.pid)
    t.is(write?.written.toString(), 'x'.repeat(255))
  })
})

serial('reads are counted but not reported, and other sysctls are ignored', async (t) => {
  const { watch, writes } = open(t)
  const domain = '/proc/sys/kernel/domainname'
  await withCorePattern(() => {
    const before = watch.accesses()
    // Other processes on this host may read it too, so this is a minimum.
    for (let times = 0; times < 10; times += 1) readFileSync(corePattern)
    t.true(watch.accesses() >= before + 10)
    writeFileSync(domain, readFileSync(domain))
    t.deepEqual(
      writes().filter(({ pid }) => pid === process.pid),
      [],
    )
  })
})

serial('every write is counted that is dropped because the ring is full', async (t) => {
  const { watch, writes } = open(t, { ringBytes: 16_384 })
  await withCorePattern((before) => {
    for (let times = 0; times < 9; times += 1) writeFileSync(corePattern, before)
    const received = writes().length
    t.is(received, 1)
    t.is(watch.lost(), 9 - received)
    t.is(watch.unreadable(), 0)
  })
})

serial('every write succeeds while several programs are attached, and after they are detached', async (t) => {
  const { watch } = open(t)
  const second = open(t)
  await withCorePattern((before) => {
    writeFileSync(corePattern, 'core.test')
    t.is(readFileSync(corePattern, 'utf8'), 'core.test\n')
    watch.close()
    t.is(second.writes().length, 1)
    second.watch.close()
    writeFileSync(corePattern, before)
    t.is(readFileSync(corePattern, 'utf8').trimEnd(), before)
  })
})

serial(
  'a write that the kernel denies for lack of privileges stays denied and is not reported',
  async (t) => {
    const { writes } = open(t)
    await t.throwsAsync(
      run('setpriv', '--reuid=65534', '--clear-groups', 'sh', '-c', `echo x > ${corePattern}`),
    )
    t.deepEqual(
      writes().filter(({ written }) => written.toString() === 'x\n'),
      [],
    )
  },
)

serial('the kernel accepts the program for cgroup v1 and v2, and for the longest name', (t) => {
  const longest = `kernel/${'x'.repeat(55)}`
  for (const hierarchy of [{ version: 2 }, { version: 1, controller: 'memory' }] as const) {
    openSysctlWatch({ ...usual, hierarchy, names: [...names, longest] }).close()
  }
  t.pass()
})

serial('the kernel rejects a program that could deny access, and gives the reason', (t) => {
  const code = assembler()
  code.move(r0, 2)
  code.exit()
  t.throws(() => loadProgram(programTypes.cgroupSysctl, 'bad', code.assemble()), {
    message: /the kernel rejected the program bad: .*R0/s,
  })
})

serial('opening fails cleanly without a cgroup v2 mount', (t) => {
  t.throws(() => openSysctlWatch({ ...usual, cgroup2: '/proc' }), { message: /EBADF|EINVAL/ })
})
