import { frame, r0, r1, r2, r3, r4, r6, r7, r8, type Register, type Width } from './assembler.ts'
import { count, type Maps } from './blocks.ts'
import { budget, common, counters } from './layout.ts'
import { helpers, type Program, slots } from './program.ts'

export type BudgetOptions = {
  /** Events per second. */
  limit: number
  /** Whether events with privileges other than the parent's have a separate budget. */
  privileged: boolean
}

/**
 * Ends the program if the container in `slots.key` has used up its budget for this second. Processes with privileges
 * other than their parent's have a second budget of the same size: no noise can hide them, and they cannot flood the
 * ring either. Uses r8.
 */
export function spendBudget(p: Program, maps: Maps, { limit, privileged }: BudgetOptions): void {
  const within = p.newLabel()
  const counting = p.newLabel()
  p.load(8, r1, frame, slots.key)
  p.jumpIf(r1, '==', 0, within)
  findOrAdd(p, maps, within)
  p.load(8, r1, r7, common.time)
  p.load(8, r2, r8, budget.windowStart)
  p.move(r3, r1)
  p.subtract(r3, r2)
  p.jumpIf(r3, '<=', second, counting)
  p.store(8, r8, budget.windowStart, r1)
  p.store(8, r8, budget.ordinary, 0)
  p.store(8, r8, budget.privileged, 0)

  p.label(counting)
  spend(p, budget.ordinary, limit, within)
  if (privileged) {
    const drop = p.newLabel()
    jumpUnlessPrivileged(p, drop)
    spend(p, budget.privileged, limit, within)
    p.label(drop)
  }
  p.move(r1, 1)
  p.atomicAdd(r8, budget.dropped, r1)
  count(p, maps, counters.overBudget)
  p.leave()
  p.label(within)
}

/** Ends the program if the key in `slots.key` passed within the last `nanoseconds`. Uses r8. */
export function leaveIfRecent(p: Program, maps: Maps, nanoseconds: number): void {
  const pass = p.newLabel()
  findOrAdd(p, maps, pass)
  p.call(helpers.timeSinceBoot)
  p.load(8, r2, r8, budget.windowStart)
  p.move(r3, r0)
  p.subtract(r3, r2)
  const isDue = p.newLabel()
  p.jumpIf(r3, '>', nanoseconds, isDue)
  p.leave()
  p.label(isDue)
  p.store(8, r8, budget.windowStart, r0)
  p.label(pass)
}

const second = 1_000_000_000

/** r8 = the entry of `slots.key`; jumps if the map is full. */
function findOrAdd(p: Program, maps: Maps, noRoom: string): void {
  const known = p.newLabel()
  lookUp(p, maps)
  p.jumpIf(r0, '!=', 0, known)
  addEntry(p, maps)
  lookUp(p, maps)
  p.jumpIf(r0, '==', 0, noRoom)
  p.label(known)
  p.move(r8, r0)
}

function lookUp(p: Program, { budgets }: Maps): void {
  p.loadMap(r1, budgets)
  p.move(r2, frame)
  p.add(r2, slots.key)
  p.call(helpers.mapLookup)
}

function addEntry(p: Program, { budgets }: Maps): void {
  for (let offset = 0; offset < budget.length; offset += 8) p.store(8, frame, slots.fresh + offset, 0)
  p.loadMap(r1, budgets)
  p.move(r2, frame)
  p.add(r2, slots.key)
  p.move(r3, frame)
  p.add(r3, slots.fresh)
  // Another processor may add it at the same time.
  p.move(r4, BPF_NOEXIST)
  p.call(helpers.mapUpdate)
}

const BPF_NOEXIST = 1

function spend(p: Program, cell: number, limit: number, within: string): void {
  p.move(r1, 1)
  p.atomicAdd(r8, cell, r1)
  p.load(8, r1, r8, cell)
  p.jumpIf(r1, '<=', limit, within)
}

/** Jumps unless ids, capabilities or namespaces of the task in r6 differ from its parent's. Preserves r8. */
function jumpUnlessPrivileged(p: Program, to: string): void {
  const isOther = p.newLabel()
  const differs = (width: Width, ...path: readonly [...string[], string]) => {
    readLast(p, width, r6, path)
    p.store(8, frame, slots.second, r1)
    p.follow(r1, r6, 'task_struct.real_parent')
    readLast(p, width, r1, path)
    p.load(8, r2, frame, slots.second)
    p.jumpIf(r1, '!=', r2, isOther)
  }
  differs(4, 'task_struct.real_cred', 'cred.uid')
  differs(4, 'task_struct.real_cred', 'cred.euid')
  differs(8, 'task_struct.real_cred', 'cred.cap_effective')
  differs(8, 'task_struct.real_cred', 'cred.user_ns')
  differs(8, 'task_struct.nsproxy')
  p.jump(to)
  p.label(isOther)
}

/** r1 = the last member of a chain of pointers. */
function readLast(p: Program, width: Width, base: Register, path: readonly [...string[], string]): void {
  const pointers = path.slice(0, -1)
  const last = path.at(-1) ?? ''
  p.follow(r1, base, ...pointers)
  p.read(width, r1, pointers.length === 0 ? base : r1, last)
}
