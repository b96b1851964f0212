import { r1, r6, r7, r9 } from '../../../../../ebpf/assembler.ts'
import { leaveForThreads, send, takeScratch, writeCommon } from '../../../../../ebpf/blocks.ts'
import { spendBudget } from '../../../../../ebpf/budget.ts'
import { readCgroups } from '../../../../../ebpf/cgroups.ts'
import { counters, forked, recordTypes } from '../../../../../ebpf/layout.ts'
import type { TracepointProgram } from '../../../../../ebpf/loader.ts'

/** Tells of every new process who made it: what it is and where it belongs is inherited in the table. */
export const forkProgram: TracepointProgram = {
  name: 'tidewatch_fork',
  tracepoint: 'sched_process_fork',
  write(p, { maps, hierarchy, budget }) {
    // sched_process_fork(parent, child): the first is who made it, whoever its parent shall be (CLONE_PARENT).
    p.load(8, r9, r1, 0)
    p.load(8, r6, r1, 8)
    leaveForThreads(p, r6)
    takeScratch(p, maps)
    p.copy(r7, forked.makerPid, 4, r9, 'task_struct.tgid')
    writeCommon(p, recordTypes.forked, r6)
    readCgroups(p, hierarchy)
    spendBudget(p, maps, { limit: budget, privileged: false })
    send(p, maps, forked.length, counters.lostForked)
  },
}
