import { r1, r6, r7, r8 } from '../../../../../ebpf/assembler.ts'
import { send, takeScratch, writeHeader } from '../../../../../ebpf/blocks.ts'
import { spendBudget } from '../../../../../ebpf/budget.ts'
import { readCgroups } from '../../../../../ebpf/cgroups.ts'
import type { TracepointProgram } from '../../../../../ebpf/loader.ts'
import { recordTypes } from '../record-types.ts'
import { exited } from './record.ts'

/** Reports each process when its last thread exits. */
export const exitProgram: TracepointProgram = {
  name: 'tidewatch_exit',
  tracepoint: 'sched_process_exit',
  write(p, { maps, hierarchy, budget, ringFull }) {
    const isLast = p.newLabel()
    // sched_process_exit(task): do_exit() of kernel/exit.c has already decremented the count for this thread.
    p.load(8, r6, r1, 0)
    p.follow(r8, r6, 'task_struct.signal')
    p.read(4, r1, r8, 'signal_struct.live.counter')
    p.jumpIf(r1, '==', 0, isLast)
    p.leave()
    p.label(isLast)
    takeScratch(p, maps)
    p.copy(r7, exited.groupCode, 4, r8, 'signal_struct.group_exit_code')
    p.follow(r8, r6, 'task_struct.group_leader')
    p.copy(r7, exited.leaderCode, 4, r8, 'task_struct.exit_code')
    writeHeader(p, recordTypes.exited, r6)
    readCgroups(p, hierarchy)
    spendBudget(p, maps, { limit: budget, privileged: false })
    send(p, maps, exited.length, ringFull)
  },
}
