import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { readBtf } from '../../agent/linux/btf/btf.ts'
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

serial('every record is counted that is dropped because the ring is full', async (t) => {
  const clock = bootClock()
  const large = attach(t, 8 << 20)
  const small = attach(t, 16_384)
  const from = clock.sinceBoot()
  await run('/bin/sh', ['-c', 'i=0; while [ $i -lt 400 ]; do /bin/true; i=$((i+1)); done'])
  // Other processes run programs on this host as well, so the counters are read while nothing happens.
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
  const received = times(small).filter(isBetween).length
  t.true([execProgram, forkProgram, exitProgram].every(({ name }) => (lost.ringFullOf[name] ?? 0) > 0))
  t.is(received + lost.ringFull, all.filter(isBetween).length)
  t.like(large.losses(), { ringFull: 0, overBudget: 0, missed: 0 })
})

serial('closing the runtime in a record callback stops delivery safely', async (t) => {
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

serial('the kernel accepts the programs for cgroup v1 and v2', (t) => {
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

serial('a program that the kernel rejects is an error with the reason, and everything is cleaned up', (t) => {
  const bad: TracepointProgram = { name: 'bad', tracepoint: 'sched_process_exec', write: (p) => p.exit() }
  const hierarchy = { version: 2 } as const
  const start = () => startRuntime({ btf, programs: [bad], hierarchy, budget: 1, ringBytes: 4_096 })
  t.throws(start, { message: /the kernel rejected the program bad: .*R0 !read_ok/s })
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

/** Times of all available records, in milliseconds since boot. */
function times(runtime: Runtime): number[] {
  const found: number[] = []
  const read = (bytes: Buffer, offset: number) =>
    void found.push(Number(bytes.readBigUInt64LE(offset + common.time)) / 1e6)
  while (runtime.drain(read, 100)) continue
  return found
}
