import type { GainWay, ProgramFile } from '../../../model/observation.ts'
import { type Rights } from '../table/known-process.ts'

export type Transition = {
  before: Rights
  after: Pick<Rights, 'uid' | 'euid' | 'capabilities'>
  change: 'found' | 'executed' | 'ids-changed'
  /** `after` is how things were at the change itself, not when somebody looked a while later. */
  isExact: boolean
  /** Whether a uid of the host is the container's root. */
  isRoot: (uid: number) => boolean
}

/**
 * Whether a change of ids may be the first that is told of an exec of a setuid file: the kernel commits the new
 * ids before the exec is done, and leaves the real uid as it is (`begin_new_exec` of fs/exec.c).
 */
export function mayBeExec({ before, after, change, isRoot }: Transition): boolean {
  if (change !== 'ids-changed' || before.heldRoot || hasRoot(before, isRoot)) return false
  return before.uid === after.uid && isRoot(after.euid)
}

/** By what a process seems to have come to root or capabilities; null where it has not, or took back what it had. */
export function wayOfGain({ before, after, change, isExact, isRoot }: Transition): GainWay | null {
  if (hasRoot(before, isRoot)) return null
  if (change === 'ids-changed') {
    if (!hasRoot(after, isRoot) || before.heldRoot) return null
    return maySetUid(before) ? 'setuid-call' : 'overwrite'
  }
  // An exec leaves the real uid as it is (execve(2)): that changed before, and nobody was told.
  if (isRoot(after.uid) && isExact) return before.heldRoot || maySetUid(before) ? null : 'overwrite'
  return hasRoot(after, isRoot) || raisedCapabilities(before, after) !== 0n ? 'file' : null
}

/** Whether the file bears out that it gave what was gained; where it does not, the exec was not the cause. */
export function confirmedByFile(
  { before, after, isExact, isRoot }: Transition,
  { status }: ProgramFile,
): GainWay | null {
  if (status === null) return 'file'
  const isSetuidRoot = (status.mode & setuidBit) !== 0 && isRoot(status.owner)
  if (status.hasCapabilities === true || isSetuidRoot) return 'file'
  // Without root these are ambient capabilities, which their holder may hand on (capabilities(7)).
  if (!hasRoot(after, isRoot) || !isExact) return null
  return maySetUid(before) ? 'setuid-call' : 'overwrite'
}

/** Whether a process is root in its container, or may make itself so. */
export function hasRoot({ uid, euid }: Pick<Rights, 'uid' | 'euid'>, isRoot: Transition['isRoot']): boolean {
  return isRoot(uid) || isRoot(euid)
}

/** Capabilities that were not there before, as the kernel's bit mask. */
export function raisedCapabilities(
  before: Pick<Rights, 'capabilities'>,
  after: Pick<Rights, 'capabilities'>,
): bigint {
  if (before.capabilities === after.capabilities) return 0n
  return BigInt(after.capabilities) & ~BigInt(before.capabilities)
}

// S_ISUID of inode(7).
const setuidBit = 0o4000

function maySetUid({ capabilities }: Rights): boolean {
  return (BigInt(capabilities) & setuidCapability) !== 0n
}

// CAP_SETUID of include/uapi/linux/capability.h.
const setuidCapability = 1n << 7n
