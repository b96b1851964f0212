import type { ContainerView } from '../../../model/container.ts'
import type {
  Gain,
  Namespaces,
  Process,
  ProcessChange,
  ProcessObservation,
  ProgramFile,
} from '../../../model/observation.ts'
import { fileAtExec } from './exec-file.ts'
import { confirmedByFile, hasRoot, mayBeExec, raisedCapabilities, wayOfGain } from './privilege-gain.ts'
import type { Credentials, KnownProcess, Membership } from '../table/known-process.ts'
import type { ExecutableOriginLookup } from './executable-origin.ts'
import type { UidMaps } from '../../../linux/uid-map.ts'
import { type PriorState } from '../table/known-process.ts'

/** Copies the state that a change will overwrite. */
export function priorStateOf({
  uid,
  euid,
  capabilities,
  mayRegainRoot,
  membership,
  namespaces,
}: KnownProcess): PriorState {
  return { uid, euid, capabilities, mayRegainRoot, membership, namespaces }
}

/** The credential fields of a process observation. */
export type CredentialFields = Pick<ProcessObservation, 'gain' | 'raisedCapabilities' | 'file'>

export type CredentialTrackerOptions = {
  uidMaps: UidMaps
  hostNamespaces: Namespaces
  containers: ContainerView
  executableOrigin: ExecutableOriginLookup
  /** Superblock of the container's root; 0 where unknown. */
  rootDevice: (membership: Membership) => number
}

/** A change, the state before it, if known, and whether it was seen as it happened. */
export type CredentialChange = { change: ProcessChange; prior: PriorState | null; isExact: boolean }

/** Determines which privileges a process of a container gained by a change, and records them in the process. */
export function credentialTracker({
  uidMaps,
  hostNamespaces,
  containers,
  executableOrigin,
  rootDevice,
}: CredentialTrackerOptions) {
  return function track(
    process: KnownProcess,
    membership: Membership,
    described: Process,
    { change, prior, isExact }: CredentialChange,
  ): CredentialFields {
    const { userNamespace } = membership
    const inContainer = (uid: number) => uidMaps.inNamespace(uid, userNamespace)
    const isRoot = (uid: number) => inContainer(uid) === 0
    // The creator of a user namespace has all capabilities, but only inside it (user_namespaces(7)).
    const effectiveIn = ({
      namespaces: { user },
      capabilities,
    }: Pick<KnownProcess, 'namespaces' | 'capabilities'>) =>
      user === userNamespace || user === hostNamespaces.user ? capabilities : 0

    const last = change === 'ids-changed' ? prior : (process.beforeRoot ?? prior)
    process.beforeRoot = null
    const isFromInside = last?.membership?.id === membership.id
    const before = isFromInside
      ? { ...last, capabilities: effectiveIn(last) }
      : initialCredentials(process.uid, isRoot)
    const after = { uid: process.uid, euid: process.euid, capabilities: effectiveIn(process) }
    const transition = { before, after, change, isExact, isRoot }
    const raised = isFromInside ? raisedCapabilities(before, after) : 0n
    if (mayBeExec(transition)) {
      process.beforeRoot = last
      return { ...(process.gain && { gain: process.gain }), raisedCapabilities: raised }
    }

    const way = wayOfGain(transition)
    const isRootNow = hasRoot(after, isRoot)
    const needsFile = way !== null || (isRootNow && change !== 'ids-changed')
    const file = needsFile ? fileOf() : undefined
    const cause = way === 'file' && file !== undefined ? confirmedByFile(transition, file) : way

    // A process that was found in /proc or read late may have been root before.
    if (change !== 'ids-changed') process.mayRegainRoot = isRootNow || !isExact
    else if (isRootNow) process.mayRegainRoot = true
    // A program that starts without privileges cannot regain them.
    if (change !== 'ids-changed' && !isRootNow && after.capabilities === 0) process.gain = null

    const seen = { ...(file && { file }), raisedCapabilities: raised }
    if (cause === null || file === undefined) return { ...(process.gain && { gain: process.gain }), ...seen }
    const { pid, startTicks, exe } = described
    const ids = { uid: inContainer(before.uid), euid: inContainer(before.euid) }
    const gain: Gain = {
      way: cause,
      isNew: true,
      by: { pid, startTicks, exe },
      file,
      before: { ...ids, capabilities: BigInt(before.capabilities) },
    }
    process.gain = { ...gain, isNew: false }
    return { gain, ...seen }

    function fileOf(): ProgramFile {
      const init = containers.get(membership.id)?.details?.pid ?? 0
      const inspected = () => executableOrigin(described, [membership.entry.pid, init])
      const { exeDevice, atExec } = process
      if (atExec === null) return inspected()
      const recorded = fileAtExec({
        ...{ exe: described.exe, exeDevice, rootDevice: process.rootDevice, atExec },
        ...{ isRoot: isRootNow, capabilities: after.capabilities },
        containerRoot: rootDevice(membership),
      })
      return { ...recorded, origin: recorded.origin ?? inspected().origin }
    }
  }
}

/**
 * What the runtime grants an entering process: its ids, and no capabilities unless root (`SetCapabilities` of moby's
 * oci).
 */
function initialCredentials(uid: number, isRoot: (uid: number) => boolean): Credentials {
  return { uid, euid: uid, capabilities: isRoot(uid) ? allCapabilities : 0, mayRegainRoot: false }
}

const allCapabilities = 2 ** 41 - 1
