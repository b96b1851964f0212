import { z } from 'zod'
import type { Memory } from '../../agent/model/detector.ts'

/** What is kept of a program of the runtime for longer than the daemon runs. */
export type KnownBinary = z.output<typeof schema>

const schema = z.object({
  /** What it was when last looked at. */
  sha256: z.string(),
  /** What it should be, where no package says it. */
  expected: z.string(),
  /** Empty where no package has it, as the next two. */
  manager: z.enum(['dpkg', 'rpm', 'apk', 'snap', '']),
  package: z.string(),
  version: z.string(),
  /** Why it is trusted as it is: by its package, by a person, or because it was so when first seen; or that it is not. */
  trust: z.enum(['package', 'accepted', 'first-seen', 'differs']),
  /** Epoch milliseconds of the last look that told something new. */
  seenAt: z.number(),
})

export type Trust = KnownBinary['trust']

/** Null where it was never seen, or what is kept cannot be read. */
export function readBinary(memory: Memory, path: string): KnownBinary | null {
  try {
    return schema.parse(JSON.parse(memory.get(entryOf(path)) ?? 'null'))
  } catch {
    return null
  }
}

/** Keeps what is known of a program, unless it is kept already. */
export function writeBinary(memory: Memory, path: string, binary: KnownBinary): void {
  const known = readBinary(memory, path)
  const isSame =
    known !== null && JSON.stringify({ ...known, seenAt: binary.seenAt }) === JSON.stringify(binary)
  if (!isSame) memory.set(entryOf(path), JSON.stringify(binary))
}

/** Every program that was ever seen, by its path. */
export function allBinaries(memory: Memory): { path: string; binary: KnownBinary }[] {
  return memory.keys('binary/').flatMap((key) => {
    const path = key.slice('binary/'.length)
    const binary = readBinary(memory, path)
    return binary === null ? [] : [{ path, binary }]
  })
}

/** Whether a person has accepted this digest for a path. A command writes it while the daemon runs. */
export function isAccepted(memory: Memory, path: string, sha256: string | undefined): boolean {
  return Boolean(sha256) && memory.get(`accepted/${path}`) === sha256
}

/** Takes a program as it is for what it should be. */
export function acceptDigest(memory: Memory, path: string, sha256: string): void {
  memory.set(`accepted/${path}`, sha256)
}

/** Forgets a program that is not there any more. */
export function forgetBinary(memory: Memory, path: string): void {
  memory.delete(entryOf(path))
  memory.delete(`accepted/${path}`)
}

function entryOf(path: string): string {
  return `binary/${path}`
}
