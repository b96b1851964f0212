import type { Memory } from '../../agent/model/detector.ts'
import type { Json } from '../../agent/model/finding.ts'
import type { Caller } from '../../agent/model/observation.ts'
import { clip, clipArgv } from '../../agent/lib/text.ts'
import { isKnownCaller } from '../../agent/model/actor.ts'
import { userName } from '../../agent/model/user-name.ts'
import { processLine } from '../../agent/model/process-evidence.ts'

/** A caller as evidence. */
export function callerEvidence(caller: Caller | null): Json | undefined {
  if (caller === null) return undefined
  const { confidence, process, container, address, by, candidates } = caller
  return {
    confidence,
    pid: process?.pid,
    user: process?.user,
    login_user: process?.loginUser || undefined,
    argv: process === null ? undefined : clipArgv(process.argv),
    ancestors: process?.ancestors
      .slice(0, maxAncestors)
      .map(({ pid, exe, argv }) => processLine(pid, exe, argv)),
    container: container?.name,
    container_id: container?.id,
    address: address || undefined,
    address_by: by,
    candidates: candidates && [...candidates],
  }
}

const maxAncestors = 16

/** The subject of a summary. */
export function callerName(caller: Caller | null): string {
  if (caller === null || !isKnownCaller(caller)) return unknownCaller
  if (caller.container !== null) return `a client in container ${caller.container.name}`
  if (caller.process !== null) return userName(caller.process.loginUser || caller.process.user)
  return caller.address === '' ? unknownCaller : `a client at ${clip(caller.address, 64)}`
}

export const unknownCaller = 'unknown caller'

/**
 * Counts the execs by clients of one image, in the detector's memory. After `learnAfter` execs they count as normal
 * for these clients; `approved` instead of a number has the same effect from the first one on.
 */
export function isUnusualClient(caller: Caller, memory: Memory, learnAfter: number): boolean {
  if (caller.container === null || !isKnownCaller(caller)) return false
  const key = `client/${caller.container.image}`
  const known = memory.get(key) ?? '0'
  const count = known === 'approved' ? learnAfter : Number(known)
  if (count >= learnAfter) return false
  memory.set(key, String(count + 1))
  return true
}
