import { headBytes, KIND } from './kinds.ts'
import type { TypeRecords } from './type-records.ts'

/** A parameter's type; `to` is the name of the struct that a pointer refers to, or empty. */
export type Parameter = { kind: 'pointer'; to: string } | { kind: 'int'; bytes: number } | { kind: 'other' }

/**
 * The parameters of a function, given the typedef of a pointer to it; null if there is no such typedef. Called once for
 * a few of 10,000 typedefs, so it searches instead of indexing.
 */
export function parametersOf(types: TypeRecords, typedef: string): Parameter[] | null {
  const { bytes, positions, infoAt, nameAt } = types
  const position = positions.find(
    (one, type) => type > 0 && infoAt(one).kind === KIND.typedef && nameAt(one) === typedef,
  )
  if (position === undefined) return null
  const pointer = target(position + 8)
  const prototype = pointer !== 0 && infoAt(pointer).kind === KIND.pointer ? target(pointer + 8) : 0
  if (prototype === 0 || infoAt(prototype).kind !== KIND.functionPrototype) return null
  return Array.from({ length: infoAt(prototype).count }, (_, index) =>
    parameterAt(target(prototype + headBytes + index * 8 + 4)),
  )

  /** The position of the type that a field refers to; 0 is void. */
  function target(field: number): number {
    const type = types.resolve(bytes.readUInt32LE(field))
    return type === 0 ? 0 : types.positionOf(type)
  }

  function parameterAt(at: number): Parameter {
    if (at === 0) return { kind: 'other' }
    const { kind } = infoAt(at)
    if (kind === KIND.int) return { kind: 'int', bytes: bytes.readUInt32LE(at + 8) }
    if (kind !== KIND.pointer) return { kind: 'other' }
    const to = target(at + 8)
    return { kind: 'pointer', to: to !== 0 && infoAt(to).kind === KIND.struct ? nameAt(to) : '' }
  }
}
