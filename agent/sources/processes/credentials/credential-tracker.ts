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
import type { KnownProcess, Membership, Rights } from '../table/known-process.ts'
import type { Provenance } from './executable-origin.ts'
import type { UidMaps } from '../../../linux/uid-map.ts'
import { type Earlier } from '../table/known-process.ts'

/** Copies what a change is about to overwrite. */
export function earlierOf({
  uid,
  euid,
  capabilities,
  heldRoot,
  membership,
  namespaces,
}: KnownProcess): Earlier {
  return { uid, euid, capabilities, heldRoot, membership, namespaces }
}

/** What an observation tells of rights. */
export type RightsSeen = Pick<ProcessObservation, 'gain' | 'raisedCapabilities' | 'file'>

export type RightsOptions = {
  uidMaps: UidMaps
  hostNamespaces: Namespaces
  containers: ContainerView
  provenance: Provenance
  /** Superblock of the root of a member's container; 0 where unknown. */
  rootDevice: (membership: Membership) => number
}

/** How a change was seen: what the process was before, if that is known, and whether it was seen as it happened. */
export type ChangeSeen = { change: ProcessChange; earlier: Earlier | null; isExact: boolean }

/** Says of each change in a container what rights came with it, and remembers that with the process. */
export function rightsWatch({ uidMaps, hostNamespaces, containers, provenance, rootDevice }: RightsOptions) {
  return function look(
    process: KnownProcess,
    membership: Membership,
    described: Process,
    { change, earlier, isExact }: ChangeSeen,
  ): RightsSeen {
    const { userNamespace } = membership
    const inContainer = (uid: number) => uidMaps.inNamespace(uid, userNamespace)
    const isRoot = (uid: number) => inContainer(uid) === 0
    // Whoever makes a user namespace has all capabilities, in it and nowhere else (user_namespaces(7)).
    const counted = ({ namespaces: { user }, capabilities }: Counted) =>
      user === userNamespace || user === hostNamespaces.user ? capabilities : 0

    const last = change === 'ids-changed' ? earlier : (process.beforeRoot ?? earlier)
    process.beforeRoot = null
    const isFromInside = last?.membership?.id === membership.id
    const before = isFromInside ? { ...last, capabilities: counted(last) } : asConfigured(process.uid, isRoot)
    const after = { uid: process.uid, euid: process.euid, capabilities: counted(process) }
    const transition = { before, after, change, isExact, isRoot }
    const raised = isFromInside ? raisedCapabilities(before, after) : 0n
    if (mayBeExec(transition)) {
      process.beforeRoot = last
      return { ...(process.gain && { gain: process.gain }), raisedCapabilities: raised }
    }

    const way = wayOfGain(transition)
    const isRootNow = hasRoot(after, isRoot)
    const isLookedAt = way !== null || (isRootNow && change !== 'ids-changed')
    const file = isLookedAt ? fileOf() : undefined
    const cause = way === 'file' && file !== undefined ? confirmedByFile(transition, file) : way

    // What was only found, or looked at late, may have been root before.
    if (change !== 'ids-changed') process.heldRoot = isRootNow || !isExact
    else if (isRootNow) process.heldRoot = true
    // A program that begins without rights has no way back to them.
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
      const lookedAt = () => provenance(described, [membership.entry.pid, init])
      const { exeDevice, atExec } = process
      if (atExec === null) return lookedAt()
      const recorded = fileAtExec({
        ...{ exe: described.exe, exeDevice, rootDevice: process.rootDevice, atExec },
        ...{ isRoot: isRootNow, capabilities: after.capabilities },
        containerRoot: rootDevice(membership),
      })
      return { ...recorded, origin: recorded.origin ?? lookedAt().origin }
    }
  }
}

type Counted = Pick<KnownProcess, 'namespaces' | 'capabilities'>

/** What the runtime gives who enters: its ids, and without root no capabilities (`SetCapabilities` of moby's oci). */
function asConfigured(uid: number, isRoot: (uid: number) => boolean): Rights {
  return { uid, euid: uid, capabilities: isRoot(uid) ? allCapabilities : 0, heldRoot: false }
}

const allCapabilities = 2 ** 41 - 1
