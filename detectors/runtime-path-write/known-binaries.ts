import { z } from 'zod'
import type { Memory } from '../../agent/model/detector.ts'

/** The persistent record of a runtime program. */
export type KnownBinary = z.output<typeof schema>

const schema = z.object({
  /** The digest when last read. */
  sha256: z.string(),
  /** The expected digest, if no package defines it. */
  expected: z.string(),
  /** Empty if no package contains it, like the next two fields. */
  manager: z.enum(['dpkg', 'rpm', 'apk', 'snap', '']),
  package: z.string(),
  version: z.string(),
  /** Why its content is trusted: by its package, by an operator, or as first seen; `differs` if it is not. */
  trust: z.enum(['package', 'accepted', 'first-seen', 'differs']),
  /** Epoch milliseconds of the last reading that changed this record. */
  seenAt: z.number(),
})

export type Trust = KnownBinary['trust']

/** Null if the program was never seen, or its record is unreadable. */
export function readBinary(memory: Memory, path: string): KnownBinary | null {
  try {
    return schema.parse(JSON.parse(memory.get(entryOf(path)) ?? 'null'))
  } catch {
    return null
  }
}

/** Stores the record of a program, unless it is unchanged. */
export function writeBinary(memory: Memory, path: string, binary: KnownBinary): void {
  const known = readBinary(memory, path)
  const isSame =
    known !== null && JSON.stringify({ ...known, seenAt: binary.seenAt }) === JSON.stringify(binary)
  if (!isSame) memory.set(entryOf(path), JSON.stringify(binary))
}

/** Every recorded program, by its path. */
export function allBinaries(memory: Memory): { path: string; binary: KnownBinary }[] {
  return memory.keys('binary/').flatMap((key) => {
    const path = key.slice('binary/'.length)
    const binary = readBinary(memory, path)
    return binary === null ? [] : [{ path, binary }]
  })
}

/** Whether an operator has accepted this digest for a path. A command writes it while the daemon runs. */
export function isAccepted(memory: Memory, path: string, sha256: string | undefined): boolean {
  return Boolean(sha256) && memory.get(`accepted/${path}`) === sha256
}

/** Accepts a digest as the expected one for a path. */
export function acceptDigest(memory: Memory, path: string, sha256: string): void {
  memory.set(`accepted/${path}`, sha256)
}

/** Deletes the record of a program that no longer exists. */
export function forgetBinary(memory: Memory, path: string): void {
  memory.delete(entryOf(path))
  memory.delete(`accepted/${path}`)
}

function entryOf(path: string): string {
  return `binary/${path}`
}
