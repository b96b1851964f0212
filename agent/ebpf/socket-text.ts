import { arch } from 'node:process'
import { r0, r1, r2, r7, r8, r9 } from './assembler.ts'
import { helpers, type Program } from './program.ts'

/** Where a record holds the first bytes sent over a socket. */
export type TextLayout = { textBytes: number; text: number; maxText: number }

/** Copies r9 bytes from r3 into the record, limited to `maxText`; jumps to `failed` if they cannot be read. */
export function readText(p: Program, { text, maxText }: TextLayout, helper: number, failed: string): void {
  const fits = p.newLabel()
  p.jumpIf(r9, '<=', maxText, fits)
  p.move(r9, maxText)
  p.label(fits)
  p.move(r2, r9)
  p.move(r1, r7)
  p.add(r1, text)
  p.call(helper)
  p.jumpIf(r0, '!=', 0, failed)
}

/** Jumps if the text was not read, starts with one of `beginnings`, or is too short to rule out a POST. Uses r9. */
export function jumpIfPost(
  p: Program,
  { textBytes, text }: TextLayout,
  beginnings: readonly Buffer[],
  to: string,
): void {
  const isShort = p.newLabel()
  const isOther = p.newLabel()
  p.load(4, r9, r7, textBytes)
  p.jumpIf(r9, '==', 0, to)
  p.jumpIf(r9, '<', post.length, isShort)
  p.load(4, r1, r7, text)
  for (const beginning of beginnings) p.jumpIf(r1, '==', beginning.readUInt32LE(), to)
  p.jump(isOther)
  p.label(isShort)
  p.load(1, r1, r7, text)
  p.jumpIf(r1, '==', post.readUInt8(), to)
  p.label(isOther)
}

export const post = Buffer.from('POST')

/** Offsets in a system call's saved registers: of the second argument, a buffer, and the third, its length. */
export type CallRegisters = { buffer: number; length: number }

/**
 * Jumps to `otherwise` unless the task is in one of the usual read or write system calls; r8 = its registers. Returns
 * null, without emitting code, on an unsupported processor.
 */
export function enterCall(p: Program, kind: 'reads' | 'writes', otherwise: string): CallRegisters | null {
  const call = calls[arch]
  if (call === undefined) return null
  const matches = p.newLabel()
  p.call(helpers.currentTaskTyped)
  p.move(r1, r0)
  p.call(helpers.registersOf)
  p.move(r8, r0)
  p.read(4, r1, r8, call.number)
  for (const number of call[kind]) p.jumpIf(r1, '==', number, matches)
  p.jump(otherwise)
  p.label(matches)
  return call.registers(p)
}

type Call = {
  number: string
  /** Numbers of read(2) and recvfrom(2). */
  reads: readonly number[]
  /** Numbers of write(2) and sendto(2). */
  writes: readonly number[]
  registers: (p: Program) => CallRegisters
}

/** Where a system call's registers are saved (asm/ptrace.h), and system call numbers (asm/unistd.h). */
const calls: Readonly<Record<string, Call>> = {
  x64: {
    number: 'pt_regs.orig_ax',
    reads: [0, 45],
    writes: [1, 44],
    registers: ({ btf }) => ({ buffer: btf.offsetOf('pt_regs.si'), length: btf.offsetOf('pt_regs.dx') }),
  },
  arm64: {
    number: 'pt_regs.syscallno',
    reads: [63, 207],
    writes: [64, 206],
    registers({ btf }) {
      const first = btf.offsetOf('pt_regs.regs')
      return { buffer: first + 8, length: first + 16 }
    },
  },
}
