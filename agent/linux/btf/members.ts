import { BtfError } from './error.ts'
import { headBytes, KIND } from './kinds.ts'
import { maxDepth, type TypeRecords } from './type-records.ts'

/** The type of a member, and its offset in bits from the start of the outermost struct. */
export type Member = { type: number; bits: number }

/** Finds a member by `struct.member` or a deeper path; searches anonymous structs and unions. */
export function memberAt(types: TypeRecords, path: string): Member {
  let visited = 0
  const [name = '', ...members] = path.split('.')
  // Two structs may share a name: use the one that has the member.
  for (const id of types.structs.get(name) ?? []) {
    const found = descend(id, members)
    if (found !== undefined) return found
  }
  throw new BtfError(`this kernel has no ${path}`)

  function descend(struct: number, names: readonly string[]): Member | undefined {
    let found: Member = { type: struct, bits: 0 }
    for (const one of names) {
      const member = findMember(types.resolve(found.type), one, 0)
      if (member === undefined) return undefined
      found = { type: member.type, bits: found.bits + member.bits }
    }
    return found
  }

  function findMember(struct: number, wanted: string, depth: number): Member | undefined {
    if (depth > maxDepth) throw new BtfError('structs are nested too deeply')
    for (const member of membersOf(types, struct)) {
      if (++visited > maxVisited) throw new BtfError('structs are nested too deeply')
      if (member.name === wanted) return member
      if (member.name !== '') continue
      const inner = findMember(types.resolve(member.type), wanted, depth + 1)
      if (inner !== undefined) return { type: inner.type, bits: member.bits + inner.bits }
    }
    return undefined
  }
}

// The kernel's largest struct has some 300 members.
const maxVisited = 100_000

/** Yields nothing for types other than structs and unions. */
function* membersOf(
  { bytes, positionOf, infoAt, nameAt }: TypeRecords,
  type: number,
): Iterable<Member & { name: string }> {
  if (type === 0) return
  const position = positionOf(type)
  const { kind, count, hasBitFields } = infoAt(position)
  if (kind !== KIND.struct && kind !== KIND.union) return
  for (let index = 0; index < count; index++) {
    const member = position + headBytes + index * 12
    const offset = bytes.readUInt32LE(member + 8)
    yield {
      name: nameAt(member),
      type: bytes.readUInt32LE(member + 4),
      // With bit fields, the upper byte is the width of the member.
      bits: hasBitFields ? offset & 0xffffff : offset,
    }
  }
}
