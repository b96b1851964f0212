/** A register of the eBPF machine: r1 to r5 do not survive a call, r6 to r9 do, r10 is the frame pointer. */
export type Register = { readonly register: number }

const register = (number: number): Register => ({ register: number })
export const r0 = register(0)
export const r1 = register(1)
export const r2 = register(2)
export const r3 = register(3)
export const r4 = register(4)
export const r5 = register(5)
export const r6 = register(6)
export const r7 = register(7)
export const r8 = register(8)
export const r9 = register(9)
export const frame = register(10)

/** Width of a memory access in bytes. */
export type Width = 1 | 2 | 4 | 8

export type Condition = '==' | '!=' | '>' | '>=' | '<' | '<=' | 'signed >' | 'signed <='

/** Emits eBPF machine code (Documentation/bpf/standardization/instruction-set.rst), the same on every processor. */
export type Assembler = {
  move: (to: Register, from: Register | number) => void
  add: (to: Register, what: Register | number) => void
  subtract: (to: Register, what: Register | number) => void
  multiply: (to: Register, by: number) => void
  and: (to: Register, mask: number) => void
  or: (to: Register, bits: number) => void
  load: (width: Width, to: Register, base: Register, offset: number) => void
  store: (width: Width, base: Register, offset: number, what: Register | number) => void
  /** Adds atomically to memory that other processors also update. */
  atomicAdd: (base: Register, offset: number, what: Register) => void
  jump: (to: string) => void
  jumpIf: (left: Register, condition: Condition, right: Register | number, to: string) => void
  /** Marks a jump target. */
  label: (name: string) => void
  /** A unique label. */
  newLabel: () => string
  call: (helper: number) => void
  loadMap: (to: Register, map: number) => void
  /** The address of the value in a single-entry array map. */
  loadMapValue: (to: Register, map: number, offset: number) => void
  exit: () => void
  assemble: () => Buffer
}

type Instruction = {
  code: number
  to: number
  from: number
  offset: number
  immediate: number
  jump?: string
}

export function assembler(): Assembler {
  const instructions: Instruction[] = []
  const labels = new Map<string, number>()
  let lastLabel = 0

  function emit(code: number, fields: Partial<Omit<Instruction, 'code'>> = {}): void {
    instructions.push({ code, to: 0, from: 0, offset: 0, immediate: 0, ...fields })
  }

  /** Opcodes of arithmetic and jumps have one bit for whether the second operand is a register. */
  function emitWith(code: number, to: Register, what: Register | number, jump?: string): void {
    const target = jump === undefined ? {} : { jump }
    if (typeof what === 'number') emit(code, { to: to.register, immediate: what, ...target })
    else emit(code | FROM_REGISTER, { to: to.register, from: what.register, ...target })
  }

  function emitWide(to: Register, kind: number, map: number, second: number): void {
    emit(LOAD_64, { to: to.register, from: kind, immediate: map })
    emit(0, { immediate: second })
  }

  function label(name: string): void {
    if (labels.has(name)) throw new Error(`duplicate label ${name}`)
    labels.set(name, instructions.length)
  }

  function distance(name: string, from: number): number {
    const to = labels.get(name)
    if (to === undefined) throw new Error(`undefined label ${name}`)
    return to - from - 1
  }

  function assemble(): Buffer {
    const bytes = Buffer.alloc(instructions.length * 8)
    for (const [index, { code, to, from, offset, immediate, jump }] of instructions.entries()) {
      const at = index * 8
      bytes.writeUInt8(code, at)
      bytes.writeUInt8(to | (from << 4), at + 1)
      bytes.writeInt16LE(jump === undefined ? offset : distance(jump, index), at + 2)
      bytes.writeInt32LE(immediate, at + 4)
    }
    return bytes
  }

  return {
    move: (to, from) => emitWith(0xb7, to, from),
    add: (to, what) => emitWith(0x07, to, what),
    subtract: (to, what) => emitWith(0x17, to, what),
    multiply: (to, by) => emitWith(0x27, to, by),
    and: (to, mask) => emitWith(0x57, to, mask),
    or: (to, bits) => emitWith(0x47, to, bits),
    load: (width, to, base, offset) =>
      emit(0x61 | widths[width], { to: to.register, from: base.register, offset }),
    store: (width, base, offset, what) =>
      typeof what === 'number'
        ? emit(0x62 | widths[width], { to: base.register, offset, immediate: what })
        : emit(0x63 | widths[width], { to: base.register, from: what.register, offset }),
    atomicAdd: (base, offset, what) => emit(0xdb, { to: base.register, from: what.register, offset }),
    jump: (to) => emit(0x05, { jump: to }),
    jumpIf: (left, condition, right, to) => emitWith(0x05 | conditions[condition], left, right, to),
    label,
    newLabel: () => `label-${++lastLabel}`,
    call: (helper) => emit(0x85, { immediate: helper }),
    loadMap: (to, map) => emitWide(to, PSEUDO_MAP_FD, map, 0),
    loadMapValue: (to, map, offset) => emitWide(to, PSEUDO_MAP_VALUE, map, offset),
    exit: () => emit(0x95),
    assemble,
  }
}

const FROM_REGISTER = 0x08
const LOAD_64 = 0x18
const PSEUDO_MAP_FD = 1
const PSEUDO_MAP_VALUE = 2

const widths: Readonly<Record<Width, number>> = { 1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18 }

const conditions: Readonly<Record<Condition, number>> = {
  '==': 0x10,
  '>': 0x20,
  '>=': 0x30,
  '!=': 0x50,
  '<': 0xa0,
  '<=': 0xb0,
  'signed >': 0x60,
  'signed <=': 0xd0,
}
