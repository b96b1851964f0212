/** Code shared by all programs. In each of them r6 is the task and r7 the record being written. */
import { frame, r0, r1, r2, r3, r4, r7, r8, type Register } from './assembler.ts'
import { common } from './layout.ts'
import { helpers, type Program, slots } from './program.ts'

/** Descriptors of the maps that programs share. */
export type Maps = { ring: number; scratch: number; counters: number; budgets: number }

/** r7 = the per-CPU buffer for a record. */
export function takeScratch(p: Program, { scratch }: Maps): void {
  const taken = p.newLabel()
  p.store(4, frame, slots.key, 0)
  p.loadMap(r1, scratch)
  p.move(r2, frame)
  p.add(r2, slots.key)
  p.call(helpers.mapLookup)
  p.jumpIf(r0, '!=', 0, taken)
  p.leave()
  p.label(taken)
  p.move(r7, r0)
}

/** Writes the header that every record starts with. Uses r8. */
export function writeHeader(p: Program, type: number, task: Register): void {
  p.call(helpers.timeSinceBoot)
  p.store(8, r7, common.time, r0)
  p.store(4, r7, common.type, type)
  p.copy(r7, common.pid, 4, task, 'task_struct.tgid')
  p.follow(r8, task, 'task_struct.group_leader')
  p.copy(r7, common.startTime, 8, r8, p.btf.has(startTime) ? startTime : oldStartTime)
  p.follow(r8, task, 'task_struct.real_parent')
  p.copy(r7, common.parentPid, 4, r8, 'task_struct.tgid')
  p.follow(r8, task, 'task_struct.real_cred')
  p.copy(r7, common.uid, 4, r8, 'cred.uid')
  p.copy(r7, common.euid, 4, r8, 'cred.euid')
}

const startTime = 'task_struct.start_boottime'
// The name before Linux 5.5, and in some distributions' patched kernels.
const oldStartTime = 'task_struct.real_start_time'

/** Sends the record, or counts it as lost if the ring is full, and ends the program. */
export function send(p: Program, maps: Maps, length: Register | number, lost: number): void {
  const sent = p.newLabel()
  p.loadMap(r1, maps.ring)
  p.move(r2, r7)
  p.move(r3, length)
  p.move(r4, 0)
  p.call(helpers.ringOutput)
  p.jumpIf(r0, '==', 0, sent)
  count(p, maps, lost)
  p.label(sent)
  p.leave()
}

/** Increments a counter. */
export function count(p: Program, maps: Pick<Maps, 'counters'>, cell: number): void {
  p.loadMapValue(r1, maps.counters, cell)
  p.move(r2, 1)
  p.atomicAdd(r1, 0, r2)
}

/** Ends the program for a thread that does not lead its process: only processes are reported. */
export function leaveForThreads(p: Program, task: Register): void {
  const isLeader = p.newLabel()
  p.read(4, r8, task, 'task_struct.tgid')
  p.read(4, r1, task, 'task_struct.pid')
  p.jumpIf(r1, '==', r8, isLeader)
  p.leave()
  p.label(isLeader)
}
