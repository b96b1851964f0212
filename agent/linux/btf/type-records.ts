import { BtfError } from './error.ts'
import { headBytes, KIND, modifiers, trailers } from './kinds.ts'

/** The type records of a file, indexed so that a query reads only the few that it needs. */
export type TypeRecords = {
  bytes: Buffer
  /** Where each type's record starts, by type id; the id 0 is void, which has no record. */
  positions: readonly number[]
  /** Type ids by name; two structs may share a name. */
  structs: ReadonlyMap<string, readonly number[]>
  enums: ReadonlyMap<string, readonly number[]>
  positionOf(type: number): number
  infoAt(position: number): TypeInfo
  /** The name of a record, a member or a constant, which all start with the offset of their name. */
  nameAt(position: number): string
  /** Follows typedefs and qualifiers to the underlying type; 0 is void. */
  resolve(type: number): number
}

/** What a record says about itself; `count` is the number of its elements. */
export type TypeInfo = { kind: number; count: number; hasBitFields: boolean }

/** The kernel's anonymous structs and typedef chains are less than 10 deep. */
export const maxDepth = 64

/** Indexes the position of each type, and structs and enums by name. */
export function readTypeRecords(bytes: Buffer): TypeRecords {
  const { start, end, strings, stringsEnd } = sectionsOf(bytes)
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
    position += headBytes + trailer.fixed + trailer.each * count
  }

  function addName(names: Map<string, number[]>, position: number): void {
    const name = nameAt(position)
    if (name === '') return
    const ids = names.get(name)
    if (ids === undefined) names.set(name, [positions.length])
    else ids.push(positions.length)
  }

  function infoAt(position: number): TypeInfo {
    const info = bytes.readUInt32LE(position + 4)
    return { kind: (info >>> 24) & 31, count: info & 0xffff, hasBitFields: info >>> 31 === 1 }
  }

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

  function resolve(type: number): number {
    for (let depth = 0; depth < maxDepth; depth++) {
      if (type === 0) return 0
      const position = positionOf(type)
      if (!modifiers.has(infoAt(position).kind)) return type
      type = bytes.readUInt32LE(position + 8)
    }
    throw new BtfError('typedefs form a cycle')
  }

  return { bytes, positions, structs, enums, positionOf, infoAt, nameAt, resolve }
}

/** Where the types and their names are, from struct btf_header. */
function sectionsOf(bytes: Buffer) {
  if (bytes.readUInt16LE(0) !== MAGIC) throw new BtfError('not type information of a little-endian kernel')
  const headerLength = bytes.readUInt32LE(4)
  const start = headerLength + bytes.readUInt32LE(8)
  const end = start + bytes.readUInt32LE(12)
  const strings = headerLength + bytes.readUInt32LE(16)
  const stringsEnd = strings + bytes.readUInt32LE(20)
  if (end > bytes.length || stringsEnd > bytes.length) throw new BtfError('type information is truncated')
  return { start, end, strings, stringsEnd }
}

const MAGIC = 0xeb9f
