import type { Btf } from '../linux/btf/btf.ts'
import { assembler, type Assembler, frame, r0, r1, r2, r3, type Register, type Width } from './assembler.ts'

/**
 * Builds a program: an assembler with the structure layouts of this kernel. A member is given by name
 * (`task_struct.mm`), or by offset if it has to be computed.
 */
export type Program = Assembler & {
  btf: Btf
  /** Ends the program. */
  leave: () => void
  /** `to` = address of the member of the struct that `base` points to. */
  addressOf: (to: Register, base: Register, member: Member) => void
  /** Copies a member of the struct that `base` points to into the program's memory at `at` + `offset`. */
  copy: (at: Register, offset: number, width: number, base: Register, member: Member) => void
  /** `to` = value of a member; zero if kernel memory could not be read. */
  read: (width: Width, to: Register, base: Register, member: Member) => void
  /** `to` = the last of a chain of pointers: `follow(r8, r6, 'task_struct.mm', 'mm_struct.exe_file')`. */
  follow: (to: Register, base: Register, ...members: readonly Member[]) => void
}

export type Member = string | number

/**
 * Starts an empty program. Kernel memory is read through helpers only, which never fault. The verdict, which the
 * program returns, matters to some program types only: 1 allows the operation.
 */
export function program(btf: Btf, verdict: 0 | 1 = 0): Program {
  const assembly = assembler()
  const { move, add, call, load, exit } = assembly

  function leave(): void {
    move(r0, verdict)
    exit()
  }

  function addressOf(to: Register, base: Register, member: Member): void {
    move(to, base)
    add(to, typeof member === 'number' ? member : btf.offsetOf(member))
  }

  function copy(at: Register, offset: number, width: number, base: Register, member: Member): void {
    addressOf(r3, base, member)
    move(r2, width)
    move(r1, at)
    add(r1, offset)
    call(helpers.readKernel)
  }

  function read(width: Width, to: Register, base: Register, member: Member): void {
    copy(frame, slots.scratch, width, base, member)
    load(width, to, frame, slots.scratch)
  }

  function follow(to: Register, base: Register, ...members: readonly Member[]): void {
    let from = base
    for (const member of members) {
      read(8, to, from, member)
      from = to
    }
  }

  return { ...assembly, btf, leave, addressOf, copy, read, follow }
}

/** Offsets in a program's stack frame, for values that must survive a call and have no register. */
export const slots = { scratch: -8, key: -16, pointer: -24, second: -32, fresh: -64, path: -176 } as const

/** Kernel helper functions (`__BPF_FUNC_MAPPER` of linux/bpf.h), available since Linux 5.8 unless noted. */
export const helpers = {
  mapLookup: 1,
  mapUpdate: 2,
  currentTask: 35,
  sysctlName: 101,
  sysctlCurrentValue: 102,
  sysctlNewValue: 103,
  readUser: 112,
  readKernel: 113,
  readKernelString: 115,
  timeSinceBoot: 125,
  ringOutput: 130,
  ringReserve: 131,
  ringSubmit: 132,
  currentTaskTyped: 158, // Linux 5.11
  registersOf: 175, // Linux 5.15
} as const
