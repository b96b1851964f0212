import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { readBtf } from '../../agent/linux/btf.ts'
import { bootClock } from '../../agent/linux/boot-clock.ts'
import { execProgram } from '../../agent/sources/processes/modes/ebpf/exec/program.ts'
import { exitProgram } from '../../agent/sources/processes/modes/ebpf/exit/program.ts'
import { forkProgram } from '../../agent/sources/processes/modes/ebpf/fork/program.ts'
import { findHierarchy } from '../../agent/ebpf/hierarchy.ts'
import { common } from '../../agent/ebpf/layout.ts'
import { requestProgram } from '../../agent/sources/processes/modes/ebpf/request/program.ts'
import { until } from '../support/until.ts'
import { type Runtime, startRuntime, type TracepointProgram } from '../../agent/ebpf/loader.ts'

const serial = test.serial
const run = promisify(execFile)
const btf = readBtf(readFileSync('/sys/kernel/btf/vmlinux'))

serial('what has no room in the ring is counted, every single one', async (t) => {
  const clock = bootClock()
  const large = attach(t, 8 << 20)
  const small = attach(t, 16_384)
  const from = clock.sinceBoot()
  await run('/bin/sh', ['-c', 'i=0; while [ $i -lt 400 ]; do /bin/true; i=$((i+1)); done'])
  // Others run programs on this host as well: the counts are read at a moment when nothing happens.
  const all: number[] = []
  let lost = small.losses()
  let to = 0
  await until(() => {
    const before = clock.sinceBoot()
    lost = small.losses()
    to = clock.sinceBoot()
    all.push(...times(large))
    return !all.some((time) => time > before - 1)
  })

  const isBetween = (time: number) => time > from && time <= to
  const kept = times(small).filter(isBetween).length
  t.true(lost.executed > 0 && lost.forked > 0 && lost.exited > 0)
  t.is(kept + lost.executed + lost.forked + lost.exited, all.filter(isBetween).length)
  t.like(large.losses(), { executed: 0, forked: 0, exited: 0, overBudget: 0, missed: 0 })
})

serial('who closes it because of a record gets no further one, and no harm is done', async (t) => {
  const runtime = attach(t, 1 << 16)
  await run('/bin/sh', ['-c', 'i=0; while [ $i -lt 20 ]; do /bin/true; i=$((i+1)); done'])
  let records = 0
  const isMore = runtime.drain(() => {
    records += 1
    runtime.close()
  }, 1_000)
  t.is(records, 1)
  t.false(isMore)
  t.false(runtime.drain(() => t.fail(), 1_000))
})

serial('the kernel takes the programs for either version of cgroups', (t) => {
  for (const hierarchy of [{ version: 2 }, { version: 1, controller: 'memory' }] as const) {
    const programs = [
      execProgram,
      forkProgram,
      exitProgram,
      requestProgram([`/${'x'.repeat(106)}`, '/run/ü.sock']),
    ]
    startRuntime({ btf, programs, hierarchy, budget: 1_000, ringBytes: 4_096 }).close()
  }
  t.pass()
})

serial('a program that the kernel refuses is an error with its reason, and leaves nothing behind', (t) => {
  const bad: TracepointProgram = { name: 'bad', tracepoint: 'sched_process_exec', write: (p) => p.exit() }
  const hierarchy = { version: 2 } as const
  const start = () => startRuntime({ btf, programs: [bad], hierarchy, budget: 1, ringBytes: 4_096 })
  t.throws(start, { message: /the kernel refuses the program bad: .*R0 !read_ok/s })
})

function attach(t: ExecutionContext, ringBytes: number): Runtime {
  const runtime = startRuntime({
    btf,
    programs: [execProgram, forkProgram, exitProgram],
    hierarchy: findHierarchy('/proc'),
    budget: 1_000_000,
    ringBytes,
  })
  t.teardown(() => runtime.close())
  return runtime
}

/** Milliseconds since boot of all records that are there. */
function times(runtime: Runtime): number[] {
  const found: number[] = []
  const read = (bytes: Buffer, offset: number) =>
    void found.push(Number(bytes.readBigUInt64LE(offset + common.time)) / 1e6)
  while (runtime.drain(read, 100)) continue
  return found
}
