import type { Memory } from '../../agent/model/detector.ts'
import type { Json } from '../../agent/model/finding.ts'
import type { Caller } from '../../agent/model/observation.ts'
import { clip, clipArgv, commandLine } from '../../agent/lib/text.ts'

/** Whether it is known who called, and not only that somebody did. */
function isKnownCaller({ confidence }: Caller): boolean {
  return confidence === 'exact' || confidence === 'argv' || confidence === 'remote'
}

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
    ancestors: process?.ancestors.slice(0, maxAncestors).map(({ pid, exe, argv }) => lineOf(pid, exe, argv)),
    container: container?.name,
    container_id: container?.id,
    address: address || undefined,
    address_by: by,
    candidates: candidates && [...candidates],
  }
}

/** A process in a list of them: what it was told to do, and its pid. */
export function lineOf(pid: number, exe: string, argv: readonly string[]): string {
  return `${clip(argv.length > 0 ? commandLine(argv) : exe, 256)} (pid ${pid})`
}

const maxAncestors = 16

/** The caller as the end of a sentence; empty where nobody is known. */
export function callerPhrase(caller: Caller | null): string {
  if (caller === null || !isKnownCaller(caller)) return ''
  if (caller.container !== null) return `, called from the container ${caller.container.name}`
  if (caller.process !== null) return `, called by ${caller.process.loginUser || caller.process.user}`
  return caller.address === '' ? '' : `, called from ${clip(caller.address, 64)}`
}

/**
 * Counts the execs that clients of one image ask for, in the detector's memory: after so many they are what these
 * clients do. `approved` instead of a number says the same from the first on.
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
