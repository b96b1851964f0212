import { r1, r6, r7, r9 } from '../../../../../ebpf/assembler.ts'
import { leaveForThreads, send, takeScratch, writeHeader } from '../../../../../ebpf/blocks.ts'
import { spendBudget } from '../../../../../ebpf/budget.ts'
import { readCgroups } from '../../../../../ebpf/cgroups.ts'
import type { TracepointProgram } from '../../../../../ebpf/loader.ts'
import { recordTypes } from '../record-types.ts'
import { forked } from './record.ts'

/** Reports each new process with its creator: the table inherits everything else from that. */
export const forkProgram: TracepointProgram = {
  name: 'tidewatch_fork',
  tracepoint: 'sched_process_fork',
  write(p, { maps, hierarchy, budget, ringFull }) {
    // sched_process_fork(parent, child): the first is the creator, even if the parent is another process
    // (CLONE_PARENT).
    p.load(8, r9, r1, 0)
    p.load(8, r6, r1, 8)
    leaveForThreads(p, r6)
    takeScratch(p, maps)
    p.copy(r7, forked.creatorPid, 4, r9, 'task_struct.tgid')
    writeHeader(p, recordTypes.forked, r6)
    readCgroups(p, hierarchy)
    spendBudget(p, maps, { limit: budget, privileged: false })
    send(p, maps, forked.length, ringFull)
  },
}
