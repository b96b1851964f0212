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

/** A parameter's type; `to` is the name of the struct that a pointer refers to, or empty. */
export type Parameter = { kind: 'pointer'; to: string } | { kind: 'int'; bytes: number } | { kind: 'other' }

/** The type information is malformed (linux/btf.h), or lacks the requested type. */
export class BtfError extends Error {
  override name = 'BtfError'
}

/**
 * Parses `/sys/kernel/btf/vmlinux` (Documentation/bpf/btf.rst). The result keeps the bytes alive, 5 MB of them: do
 * not store it.
 */
export function readBtf(bytes: Buffer): Btf {
  const types = checked(() => indexTypes(bytes))

  let visited = 0

  function locate(path: string): Member {
    visited = 0
    const [name = '', ...members] = path.split('.')
    // Two structs may share a name: use the one that has the member.
    for (const id of types.structs.get(name) ?? []) {
      const found = descend(id, members)
      if (found !== undefined) return found
    }
    throw new BtfError(`this kernel has no ${path}`)
  }

  function descend(struct: number, members: readonly string[]): Member | undefined {
    let found: Member = { type: struct, bits: 0 }
    for (const name of members) {
      const member = findMember(types.resolve(found.type), name, 0)
      if (member === undefined) return undefined
      found = { type: member.type, bits: found.bits + member.bits }
    }
    return found
  }

  function findMember(struct: number, name: string, depth: number): Member | undefined {
    if (depth > maxDepth) throw new BtfError('structs are nested too deeply')
    for (const member of types.members(struct)) {
      if (++visited > maxVisited) throw new BtfError('structs are nested too deeply')
      if (member.name === name) return member
      if (member.name !== '') continue
      const inner = findMember(types.resolve(member.type), name, depth + 1)
      if (inner !== undefined) return { type: inner.type, bits: member.bits + inner.bits }
    }
    return undefined
  }

  function offsetOf(path: string): number {
    const { bits } = checked(() => locate(path))
    if (bits % 8 !== 0) throw new BtfError(`${path} is a bit field`)
    return bits / 8
  }

  function has(path: string): boolean {
    try {
      locate(path)
      return true
    } catch (error) {
      if (error instanceof BtfError || error instanceof RangeError) return false
      throw error
    }
  }

  function sizeOf(struct: string): number {
    const [id] = types.structs.get(struct) ?? []
    if (id === undefined) throw new BtfError(`this kernel has no ${struct}`)
    return checked(() => types.size(id))
  }

  function enumValue(name: string, constant: string): number {
    const value = checked(() => types.enumValue(name, constant))
    if (value === undefined) throw new BtfError(`this kernel has no ${constant} in ${name}`)
    return value
  }

  const parameters = (typedef: string) => checked(() => types.parameters(typedef))

  return { offsetOf, has, sizeOf, enumValue, parameters }
}

type Member = { type: number; bits: number }

// The kernel's anonymous structs and typedef chains are less than 10 deep.
const maxDepth = 64

// The kernel's largest struct has some 300 members.
const maxVisited = 100_000

/** Turns the RangeError that Node throws for truncated bytes into a BtfError. */
function checked<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof RangeError) throw new BtfError('type information is truncated', { cause: error })
    throw error
  }
}

const KIND = {
  int: 1,
  pointer: 2,
  array: 3,
  struct: 4,
  union: 5,
  enum: 6,
  typedef: 8,
  volatile: 9,
  const: 10,
  restrict: 11,
  function: 13,
  typeTag: 18,
} as const
const modifiers: ReadonlySet<number> = new Set([
  KIND.typedef,
  KIND.volatile,
  KIND.const,
  KIND.restrict,
  KIND.typeTag,
])

/** How many bytes follow the 12 bytes of a type, by kind; `each` is per element. */
const trailers: readonly { fixed: number; each: number }[] = [
  { fixed: 0, each: 0 }, // void has no record, so a kind 0 is an error
  { fixed: 4, each: 0 }, // int
  { fixed: 0, each: 0 }, // pointer
  { fixed: 12, each: 0 }, // array
  { fixed: 0, each: 12 }, // struct
  { fixed: 0, each: 12 }, // union
  { fixed: 0, each: 8 }, // enum
  { fixed: 0, each: 0 }, // forward declaration
  { fixed: 0, each: 0 }, // typedef
  { fixed: 0, each: 0 }, // volatile
  { fixed: 0, each: 0 }, // const
  { fixed: 0, each: 0 }, // restrict
  { fixed: 0, each: 0 }, // function
  { fixed: 0, each: 8 }, // function prototype
  { fixed: 4, each: 0 }, // variable
  { fixed: 0, each: 12 }, // data section
  { fixed: 0, each: 0 }, // float
  { fixed: 4, each: 0 }, // declaration tag
  { fixed: 0, each: 0 }, // type tag
  { fixed: 0, each: 12 }, // 64-bit enum
]

/** Indexes the position of each type, and structs and enums by name. */
function indexTypes(bytes: Buffer) {
  if (bytes.readUInt16LE(0) !== 0xeb9f) throw new BtfError('not type information of a little-endian kernel')
  const headerLength = bytes.readUInt32LE(4)
  const start = headerLength + bytes.readUInt32LE(8)
  const end = start + bytes.readUInt32LE(12)
  const strings = headerLength + bytes.readUInt32LE(16)
  const stringsEnd = strings + bytes.readUInt32LE(20)
  if (end > bytes.length || stringsEnd > bytes.length) throw new BtfError('type information is truncated')

  const positions: number[] = [0]
  const structs = new Map<string, number[]>()
  const enums = new Map<string, number[]>()
  for (let position = start; position < end;) {
    const { kind, count } = infoAt(position)
    const trailer = trailers[kind]
    if (trailer === undefined || kind === 0)
      throw new BtfError(`type information has an unknown kind, ${kind}`)
    if (kind === KIND.struct) addName(structs, position)
    if (kind === KIND.enum) addName(enums, position)
    positions.push(position)
    position += 12 + trailer.fixed + trailer.each * count
  }

  function addName(names: Map<string, number[]>, position: number): void {
    const name = nameAt(position)
    if (name === '') return
    const ids = names.get(name)
    if (ids === undefined) names.set(name, [positions.length])
    else ids.push(positions.length)
  }

  function infoAt(position: number): { kind: number; count: number; hasBitFields: boolean } {
    const info = bytes.readUInt32LE(position + 4)
    return { kind: (info >>> 24) & 31, count: info & 0xffff, hasBitFields: info >>> 31 === 1 }
  }

  /** Every named record starts with the offset of its name. */
  function nameAt(position: number): string {
    const first = strings + bytes.readUInt32LE(position)
    const stop = bytes.indexOf(0, first)
    if (first >= stringsEnd || stop < 0 || stop >= stringsEnd)
      throw new BtfError('a name is outside the string section')
    return bytes.toString('latin1', first, stop)
  }

  function positionOf(type: number): number {
    const position = positions[type]
    if (type === 0 || position === undefined) throw new BtfError(`there is no type ${type}`)
    return position
  }

  /** Follows typedefs and qualifiers to the underlying type. */
  function resolve(type: number): number {
    for (let depth = 0; depth < maxDepth; depth++) {
      if (type === 0) return 0
      const position = positionOf(type)
      if (!modifiers.has(infoAt(position).kind)) return type
      type = bytes.readUInt32LE(position + 8)
    }
    throw new BtfError('typedefs form a cycle')
  }

  /** Yields nothing for types other than structs and unions. */
  function* members(type: number): Iterable<Member & { name: string }> {
    if (type === 0) return
    const position = positionOf(type)
    const { kind, count, hasBitFields } = infoAt(position)
    if (kind !== KIND.struct && kind !== KIND.union) return
    for (let index = 0; index < count; index++) {
      const member = position + 12 + index * 12
      const offset = bytes.readUInt32LE(member + 8)
      yield {
        name: nameAt(member),
        type: bytes.readUInt32LE(member + 4),
        bits: hasBitFields ? offset & 0xffffff : offset,
      }
    }
  }

  function enumValue(name: string, constant: string): number | undefined {
    for (const id of enums.get(name) ?? []) {
      const position = positionOf(id)
      const { count } = infoAt(position)
      for (let index = 0; index < count; index++) {
        const entry = position + 12 + index * 8
        if (nameAt(entry) === constant) return bytes.readInt32LE(entry + 4)
      }
    }
    return undefined
  }

  /** Called once for a few of 10,000 typedefs, so it searches instead of indexing. */
  function parametersOf(typedef: string): Parameter[] | null {
    const position = positions.find(
      (one, type) => type > 0 && infoAt(one).kind === KIND.typedef && nameAt(one) === typedef,
    )
    if (position === undefined) return null
    const target = (at: number) => {
      const type = resolve(bytes.readUInt32LE(at))
      return type === 0 ? 0 : positionOf(type)
    }
    const pointer = target(position + 8)
    const prototype = pointer !== 0 && infoAt(pointer).kind === KIND.pointer ? target(pointer + 8) : 0
    if (prototype === 0 || infoAt(prototype).kind !== KIND.function) return null
    return Array.from({ length: infoAt(prototype).count }, (_, index) =>
      parameterAt(target(prototype + 12 + index * 8 + 4), target),
    )
  }

  function parameterAt(position: number, target: (at: number) => number): Parameter {
    if (position === 0) return { kind: 'other' }
    const { kind } = infoAt(position)
    if (kind === KIND.int) return { kind: 'int', bytes: bytes.readUInt32LE(position + 8) }
    if (kind !== KIND.pointer) return { kind: 'other' }
    const to = target(position + 8)
    return { kind: 'pointer', to: to !== 0 && infoAt(to).kind === KIND.struct ? nameAt(to) : '' }
  }

  const size = (type: number) => bytes.readUInt32LE(positionOf(type) + 8)

  return { structs, resolve, members, enumValue, size, parameters: parametersOf }
}
