/**
 * The kernel's own word on whom it OOM-kills: `mark_oom_victim()` of mm/oom_kill.c calls the tracepoint once for the
 * process it kills, after it has counted the kill, and with `memory.oom.group` once for each process of the cgroup. Other
 * processes that share the victim's memory are killed and neither marked nor counted. Rarely a process that is dying
 * already is marked without a kill being counted.
 */
import type { Btf } from '../../../../../linux/btf.ts'
import { frame, r0, r1, r6, r7, r8, r9 } from '../../../../../ebpf/assembler.ts'
import { send, takeScratch, writeCommon } from '../../../../../ebpf/blocks.ts'
import { pathToSubsystem, readCgroups } from '../../../../../ebpf/cgroups.ts'
import { common, counters, executed, limits, recordTypes } from '../../../../../ebpf/layout.ts'
import { helpers, type Program, slots } from '../../../../../ebpf/program.ts'
import type { TracepointProgram } from '../../../../../ebpf/loader.ts'

/** A record; its cgroup is where an exec's is. Of a victim that only has a thread id, all else is 0. */
export const victimRecord = {
  threadId: 36, // u32, where that is all the kernel gives; else 0
  isGroup: 40, // u32, 1 where its whole cgroup is killed
  namespaceLevel: 44, // u32, how deep its pid namespace is; 0 is the host's
  namespacePid: 48, // u32, its pid in that namespace
  length: executed.tail + limits.cgroupEnd,
} as const

/** What the tracepoint passes: the task (Linux 6.9 and later), or its thread id in the host's pid namespace. */
export type VictimArgument = 'task' | 'thread-id'

/** Null where this kernel has no such tracepoint, or one with another argument. */
export function victimArgument(btf: Pick<Btf, 'parameters'>): VictimArgument | null {
  // The first parameter is the context that every tracepoint passes.
  const [, argument] = btf.parameters('btf_trace_mark_victim') ?? []
  if (argument === undefined) return null
  if (argument.kind === 'pointer') return argument.to === 'task_struct' ? 'task' : null
  return argument.kind === 'int' && argument.bytes === 4 ? 'thread-id' : null
}

/** Reports each process that the kernel chooses to OOM-kill. */
export function oomVictimProgram(argument: VictimArgument): TracepointProgram {
  return {
    name: 'tidewatch_oom',
    tracepoint: 'mark_victim',
    write(p, { maps, hierarchy }) {
      p.load(8, r6, r1, 0)
      takeScratch(p, maps)
      for (const field of Object.values(victimFields)) p.store(4, r7, field, 0)
      p.store(4, r7, executed.flags, 0)
      p.store(8, r7, executed.cgroupId, 0)
      if (argument === 'task') {
        writeCommon(p, recordTypes.oomVictim, r6)
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
      p.store(4, r7, executed.cgroupEnd, r9)
      p.load(8, r1, frame, slots.key)
      p.store(8, r7, executed.budgetKey, r1)
      // Not counted against a container's budget: no noise of its own may hide a kill.
      send(p, maps, victimRecord.length, counters.lostVictims)
    },
  }
}

const { length: _length, ...victimFields } = victimRecord

/** The numbers of struct pid, the host's first: the last is what the process itself sees. */
function writeNamespacePid(p: Program): void {
  p.follow(r8, r6, 'task_struct.group_leader', 'task_struct.thread_pid')
  p.copy(r7, victimRecord.namespaceLevel, 4, r8, 'pid.level')
  p.read(4, r1, r8, 'pid.level')
  p.multiply(r1, p.btf.sizeOf('upid'))
  p.add(r8, r1)
  p.copy(r7, victimRecord.namespacePid, 4, r8, p.btf.offsetOf('pid.numbers') + p.btf.offsetOf('upid.nr'))
}

/** `memory.oom.group` of the victim's own cgroup, which is the container's where it has made none below it. */
function writeIsGroup(p: Program): void {
  if (!p.btf.has('mem_cgroup.oom_group')) return
  p.follow(r8, r6, ...pathToSubsystem(p, 'memory'))
  const isGroup = p.btf.offsetOf('mem_cgroup.oom_group') - p.btf.offsetOf('mem_cgroup.css')
  p.copy(r7, victimRecord.isGroup, 1, r8, isGroup)
}
