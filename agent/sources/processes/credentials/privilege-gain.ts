import type { GainWay, ProgramFile } from '../../../model/observation.ts'
import { type Credentials } from '../table/known-process.ts'

export type Transition = {
  before: Credentials
  after: Pick<Credentials, 'uid' | 'euid' | 'capabilities'>
  change: 'found' | 'executed' | 'ids-changed'
  /** `after` was captured at the change itself, not read some time later. */
  isExact: boolean
  /** Whether a host uid is root in the container. */
  isRoot: (uid: number) => boolean
}

/**
 * Whether a change of ids may be the first event of a setuid exec: the kernel commits the new ids before the exec
 * completes, and keeps the real uid (`begin_new_exec` of fs/exec.c).
 */
export function mayBeExec({ before, after, change, isRoot }: Transition): boolean {
  if (change !== 'ids-changed' || before.mayRegainRoot || hasRoot(before, isRoot)) return false
  return before.uid === after.uid && isRoot(after.euid)
}

/** How a process probably gained root or capabilities; null if it gained none or regained what it had before. */
export function wayOfGain({ before, after, change, isExact, isRoot }: Transition): GainWay | null {
  if (hasRoot(before, isRoot)) return null
  if (change === 'ids-changed') {
    if (!hasRoot(after, isRoot) || before.mayRegainRoot) return null
    return maySetUid(before) ? 'setuid-call' : 'overwrite'
  }
  // An exec keeps the real uid (execve(2)), so it changed before the exec without an event.
  if (isRoot(after.uid) && isExact) return before.mayRegainRoot || maySetUid(before) ? null : 'overwrite'
  return hasRoot(after, isRoot) || raisedCapabilities(before, after) !== 0n ? 'file' : null
}

/** Checks that the file can have granted the gain; if it cannot, the exec was not the cause. */
export function confirmedByFile(
  { before, after, isExact, isRoot }: Transition,
  { status }: ProgramFile,
): GainWay | null {
  if (status === null) return 'file'
  const isSetuidRoot = (status.mode & setuidBit) !== 0 && isRoot(status.owner)
  if (status.hasCapabilities === true || isSetuidRoot) return 'file'
  // Without root these are ambient capabilities, which are legitimately inherited (capabilities(7)).
  if (!hasRoot(after, isRoot) || !isExact) return null
  return maySetUid(before) ? 'setuid-call' : 'overwrite'
}

/** Whether a process is root in its container, or can become root. */
export function hasRoot(
  { uid, euid }: Pick<Credentials, 'uid' | 'euid'>,
  isRoot: Transition['isRoot'],
): boolean {
  return isRoot(uid) || isRoot(euid)
}

/** Newly gained capabilities, as the kernel's bit mask. */
export function raisedCapabilities(
  before: Pick<Credentials, 'capabilities'>,
  after: Pick<Credentials, 'capabilities'>,
): bigint {
  if (before.capabilities === after.capabilities) return 0n
  return BigInt(after.capabilities) & ~BigInt(before.capabilities)
}

// S_ISUID of inode(7).
const setuidBit = 0o4000

function maySetUid({ capabilities }: Credentials): boolean {
  return (BigInt(capabilities) & setuidCapability) !== 0n
}

// CAP_SETUID of include/uapi/linux/capability.h.
const setuidCapability = 1n << 7n
