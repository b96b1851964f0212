import { BtfError, checked } from './error.ts'
import { headBytes } from './kinds.ts'
import { memberAt } from './members.ts'
import { type Parameter, parametersOf } from './parameters.ts'
import { readTypeRecords, type TypeRecords } from './type-records.ts'

/** The layout of a kernel's structures, from its own type information (BTF). */
export type Btf = {
  /** Byte offset of a member, given as `struct.member` or deeper; searches anonymous structs and unions. */
  offsetOf(path: string): number
  has(path: string): boolean
  sizeOf(struct: string): number
  enumValue(name: string, constant: string): number
  /** The parameters of a function, given the typedef of a pointer to it; null if there is no such typedef. */
  parameters(typedef: string): readonly Parameter[] | null
}

/**
 * Parses `/sys/kernel/btf/vmlinux` (Documentation/bpf/btf.rst). The result keeps the bytes alive, 5 MB of them: do
 * not store it.
 */
export function readBtf(bytes: Buffer): Btf {
  const types = checked(() => readTypeRecords(bytes))

  function offsetOf(path: string): number {
    const { bits } = checked(() => memberAt(types, path))
    if (bits % 8 !== 0) throw new BtfError(`${path} is a bit field`)
    return bits / 8
  }

  function has(path: string): boolean {
    try {
      memberAt(types, path)
      return true
    } catch (error) {
      if (error instanceof BtfError || error instanceof RangeError) return false
      throw error
    }
  }

  function sizeOf(struct: string): number {
    const [id] = types.structs.get(struct) ?? []
    if (id === undefined) throw new BtfError(`this kernel has no ${struct}`)
    return checked(() => bytes.readUInt32LE(types.positionOf(id) + 8))
  }

  function enumValue(name: string, constant: string): number {
    const value = checked(() => constantOf(types, name, constant))
    if (value === undefined) throw new BtfError(`this kernel has no ${constant} in ${name}`)
    return value
  }

  const parameters = (typedef: string) => checked(() => parametersOf(types, typedef))

  return { offsetOf, has, sizeOf, enumValue, parameters }
}

function constantOf(
  { bytes, enums, positionOf, infoAt, nameAt }: TypeRecords,
  name: string,
  constant: string,
): number | undefined {
  for (const id of enums.get(name) ?? []) {
    const position = positionOf(id)
    const { count } = infoAt(position)
    for (let index = 0; index < count; index++) {
      const entry = position + headBytes + index * 8
      if (nameAt(entry) === constant) return bytes.readInt32LE(entry + 4)
    }
  }
  return undefined
}
