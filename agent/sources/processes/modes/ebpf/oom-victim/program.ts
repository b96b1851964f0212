/**
 * Gets OOM victims from the kernel: `mark_oom_victim()` of mm/oom_kill.c fires the tracepoint once for the process it
 * kills, after it has counted the kill, and with `memory.oom.group` once for each process of the cgroup. Other
 * processes that share the victim's memory are killed but neither marked nor counted. Rarely, a process that is already
 * exiting is marked without a counted kill.
 */
import type { Btf } from '../../../../../linux/btf/btf.ts'
import { frame, r0, r1, r6, r7, r8, r9 } from '../../../../../ebpf/assembler.ts'
import { send, takeScratch, writeHeader } from '../../../../../ebpf/blocks.ts'
import { pathToSubsystem, readCgroups } from '../../../../../ebpf/cgroups.ts'
import { cgroupFields, common } from '../../../../../ebpf/layout.ts'
import { helpers, type Program, slots } from '../../../../../ebpf/program.ts'
import type { TracepointProgram } from '../../../../../ebpf/loader.ts'
import { recordTypes } from '../record-types.ts'
import { victimRecord } from './record.ts'

/** What the tracepoint passes: the task (Linux 6.9 and later), or its thread id in the host's pid namespace. */
export type VictimArgument = 'task' | 'thread-id'

/** Null if this kernel lacks the tracepoint, or it has another argument. */
export function victimArgument(btf: Pick<Btf, 'parameters'>): VictimArgument | null {
  // The first parameter is the context of every tracepoint.
  const [, argument] = btf.parameters('btf_trace_mark_victim') ?? []
  if (argument === undefined) return null
  if (argument.kind === 'pointer') return argument.to === 'task_struct' ? 'task' : null
  return argument.kind === 'int' && argument.bytes === 4 ? 'thread-id' : null
}

/** Reports each process that the kernel selects for an OOM kill. */
export function oomVictimProgram(argument: VictimArgument): TracepointProgram {
  return {
    name: 'tidewatch_oom',
    tracepoint: 'mark_victim',
    write(p, { maps, hierarchy, ringFull }) {
      p.load(8, r6, r1, 0)
      takeScratch(p, maps)
      for (const field of Object.values(victimFields)) p.store(4, r7, field, 0)
      p.store(4, r7, cgroupFields.flags, 0)
      p.store(8, r7, cgroupFields.cgroupId, 0)
      if (argument === 'task') {
        writeHeader(p, recordTypes.oomVictim, r6)
        writeNamespacePid(p)
        writeIsGroup(p)
        readCgroups(p, hierarchy)
      } else {
        for (const field of Object.values(common)) p.store(4, r7, field, 0)
        p.store(4, r7, common.startTime + 4, 0)
        p.call(helpers.timeSinceBoot)
        p.store(8, r7, common.time, r0)
        p.store(4, r7, common.type, recordTypes.oomVictim)
        p.store(4, r7, victimRecord.threadId, r6)
        p.store(8, frame, slots.key, 0)
        p.move(r9, 0)
      }
      p.store(4, r7, cgroupFields.cgroupEnd, r9)
      p.load(8, r1, frame, slots.key)
      p.store(8, r7, cgroupFields.budgetKey, r1)
      // Not counted against the container's budget: its other events must not hide a kill.
      send(p, maps, victimRecord.length, ringFull)
    },
  }
}

const { length: _length, ...victimFields } = victimRecord

/** struct pid has one number per namespace, the host's first; the last is what the process itself sees. */
function writeNamespacePid(p: Program): void {
  p.follow(r8, r6, 'task_struct.group_leader', 'task_struct.thread_pid')
  p.copy(r7, victimRecord.namespaceLevel, 4, r8, 'pid.level')
  p.read(4, r1, r8, 'pid.level')
  p.multiply(r1, p.btf.sizeOf('upid'))
  p.add(r8, r1)
  p.copy(r7, victimRecord.namespacePid, 4, r8, p.btf.offsetOf('pid.numbers') + p.btf.offsetOf('upid.nr'))
}

/**
 * `memory.oom.group` of the victim's own cgroup: the container's, unless the container has created cgroups below it.
 */
function writeIsGroup(p: Program): void {
  if (!p.btf.has('mem_cgroup.oom_group')) return
  p.follow(r8, r6, ...pathToSubsystem(p, 'memory'))
  const isGroup = p.btf.offsetOf('mem_cgroup.oom_group') - p.btf.offsetOf('mem_cgroup.css')
  p.copy(r7, victimRecord.isGroup, 1, r8, isGroup)
}
