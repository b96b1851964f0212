import type { BootClock } from '../kernel/clock.ts'
import type { Container, ContainerView } from '../model/container.ts'
import type {
  EventsLost,
  HostFiles,
  Namespaces,
  Process,
  ProcessChange,
  ProcessObservation,
  UsermodeHelper,
} from '../model/observation.ts'
import { rootCgroup } from './cgroup.ts'
import { containerFor, describeProcess, originOf } from './describe.ts'
import { worksOutside } from './foreign-directory.ts'
import { held } from './held.ts'
import { hostFilesCheck } from './host-files.ts'
import {
  type ExitCode,
  type Ids,
  type KnownProcess,
  type Membership,
  noProgram,
  type SeenProcess,
} from './known-process.ts'
import { memberships } from './membership.ts'
import { provenance } from './provenance.ts'
import { type Earlier, earlierOf, type RightsSeen, rightsWatch } from './rights.ts'
import type { WritableProcessTable } from './table.ts'
import type { UidMaps } from './uid-map.ts'
import { helperWatch } from './usermode-helper.ts'

/** What every mode tells of processes, whichever way it saw them. Times in milliseconds since boot. */
export type ProcessTracker = {
  /** A process as /proc shows it: new, or known and perhaps changed. */
  found(seen: SeenProcess, sinceBoot: number): void
  /** `isExact` is false where the process was looked at a while after, and may have gone on. */
  executed(seen: SeenProcess, sinceBoot: number, isExact?: boolean): void
  forked(child: Forked, sinceBoot: number): void
  idsChanged(pid: number, ids: Partial<Ids>, sinceBoot: number): void
  exited(pid: number, startTicks: number | null, sinceBoot: number, code: ExitCode | null): void
  /** Stops its timers. */
  close(): void
}

export type Forked = Pick<KnownProcess, 'pid' | 'startTicks' | 'parentPid' | 'uid' | 'euid'> & {
  makerPid: number
}

export type TrackerOptions = {
  procRoot: string
  table: WritableProcessTable
  containers: ContainerView
  hostNamespaces: Namespaces
  uidMaps: UidMaps
  clock: BootClock
  /** Epoch milliseconds. */
  bootTime: number
  emit: (observation: ProcessObservation | UsermodeHelper | EventsLost) => void
}

/** Keeps the table from what the modes tell, and makes observations of what happens in containers. */
export function processTracker(options: TrackerOptions): ProcessTracker {
  const { procRoot, table, containers, hostNamespaces, uidMaps, clock, bootTime, emit } = options
  const belonging = memberships({ procRoot, table, containers, hostNamespaces })
  const helpers = helperWatch({ table, containers, roots: belonging.roots })
  const hostFilesOf = hostFilesCheck(procRoot, hostNamespaces)
  const files = provenance({ procRoot, now: () => clock.sinceBoot() })
  const rightsOf = rightsWatch({ uidMaps, hostNamespaces, containers, provenance: files })
  const waiting = held<Pending>({
    // Not only its name: detectors judge by how the container is configured.
    isKnown: (_id, { membership, subject }) => Boolean(belonging.container(membership, subject)?.details),
    release: publish,
    now: () => clock.sinceBoot(),
  })
  // Asked once in a second, not for every event: the wall clock is seldom set.
  let epochOffset = clock.epochOffset()
  let overflow = 0
  const timer = setInterval(everySecond, 1_000)
  let heldTimer: NodeJS.Timeout | undefined

  function found(seen: SeenProcess, sinceBoot: number): void {
    const known = table.find(seen)
    if (known === undefined) {
      const process = admit(seen)
      if (process === null) return
      const parent = table.get(seen.parentPid)
      process.membership = parent?.membership ?? null
      process.gain = parent?.gain ?? null
      settle(process, 'found', sinceBoot, null, { earlier: parent && earlierOf(parent), isExact: false })
      return
    }
    if (known.exit !== null) return
    const former = known.program
    const earlier = earlierOf(known)
    // A process of the host may have entered a container since.
    const change = changeBetween(known, seen) ?? (known.membership === null ? 'found' : null)
    update(known, seen)
    if (change !== null) settle(known, change, sinceBoot, former, { earlier, isExact: false })
  }

  function executed(seen: SeenProcess, sinceBoot: number, isExact = true): void {
    const known = table.find(seen)
    const former = known?.program ?? null
    const earlier = known && earlierOf(known)
    const process = known ?? admit(seen)
    if (process === null) return
    update(process, seen)
    process.membership ??= table.makerOf(process)?.membership ?? null
    settle(process, 'executed', sinceBoot, former, { earlier, isExact })
  }

  function forked(child: Forked, sinceBoot: number): void {
    const maker = table.get(child.makerPid)
    // Nothing is known to inherit: its exec or the next look into /proc will tell.
    if (maker === undefined || table.find(child) !== undefined) return
    const { capabilities, gid, namespaces, cgroup, program, exeDevice } = maker
    // Ids may change without a system call that would tell: by credentials overwritten in the kernel.
    idsChanged(maker.pid, { uid: child.uid, euid: child.euid }, sinceBoot)
    const process = admit({ ...child, capabilities, gid, namespaces, cgroup, program, exeDevice })
    if (process === null) return
    process.membership = maker.membership
    process.heldRoot = maker.heldRoot
    process.gain = maker.gain
  }

  function idsChanged(pid: number, ids: Partial<Ids>, sinceBoot: number): void {
    const process = table.get(pid)
    if (process === undefined) return
    const isOther = (ids.uid ?? process.uid) !== process.uid || (ids.euid ?? process.euid) !== process.euid
    const earlier = earlierOf(process)
    Object.assign(process, ids)
    if (!isOther || process.membership === null) return
    observe(process, process.membership, 'ids-changed', sinceBoot, { earlier, isExact: true })
  }

  function exited(pid: number, startTicks: number | null, sinceBoot: number, code: ExitCode | null): void {
    const process =
      startTicks === null ? table.get(pid) : (table.find({ pid, startTicks }) ?? bury(pid, startTicks))
    if (process === undefined) return
    table.end(process, sinceBoot, code)
    belonging.ended(process)
  }

  /** A stranger that ends is in /proc for a moment still, and must not be found there as if it lived. */
  function bury(pid: number, startTicks: number): KnownProcess | undefined {
    const former = table.get(pid)
    if (former !== undefined && former.startTicks > startTicks) return undefined
    return admit({ ...unknownProcess, pid, startTicks }) ?? undefined
  }

  function admit(seen: SeenProcess & { makerPid?: number }): KnownProcess | null {
    const maker = table.get(seen.makerPid ?? seen.parentPid)
    const { pid, startTicks, parentPid, uid, euid, gid, capabilities } = seen
    const { namespaces, cgroup, program, exeDevice } = seen
    const process: KnownProcess = {
      pid,
      startTicks,
      parentPid,
      makerPid: maker?.pid ?? 0,
      makerStartTicks: maker?.startTicks ?? 0,
      uid,
      euid,
      gid,
      capabilities,
      namespaces,
      cgroup,
      program,
      exeDevice,
      membership: null,
      heldRoot: false,
      beforeRoot: null,
      gain: null,
      exit: null,
      older: undefined,
    }
    if (table.add(process)) return process
    overflow++
    return null
  }

  /** `former` is what the process ran before, where that is known. */
  function settle(
    process: KnownProcess,
    change: ProcessChange,
    sinceBoot: number,
    former: KnownProcess['program'] | null,
    before: Before,
  ): void {
    // The kernel's own helper is nobody's member, wherever its file lies: it runs with the rights of the host.
    if (helpers.isHelper(process)) return observeHelper(process, sinceBoot)
    process.membership = belonging.of(process, { found: change === 'found', former })
    if (process.membership !== null) observe(process, process.membership, change, sinceBoot, before)
  }

  function observeHelper(helper: KnownProcess, sinceBoot: number): void {
    const file = helpers.fileOf(helper)
    if (file === null) return
    const process = describeProcess(helper, bootTime, uidMaps)
    emit({ kind: 'usermode-helper', time: sinceBoot + epochOffset, process, ...file })
  }

  function observe(
    subject: KnownProcess,
    membership: Membership,
    change: ProcessChange,
    sinceBoot: number,
    { earlier, isExact }: Before,
  ): void {
    uidMaps.learn(subject.namespaces.user, subject.pid)
    const process = describeProcess(subject, bootTime, uidMaps, membership.userNamespace)
    const isLookedAt =
      !isExact && change !== 'ids-changed' && subject.namespaces.mount !== hostNamespaces.mount
    if (isLookedAt && worksOutside(procRoot, subject.pid)) process.workingDirectoryOutside = true
    const rights = rightsOf(subject, membership, process, { change, earlier: earlier ?? null, isExact })
    const hostFiles = hostFilesOf(subject, membership)
    const pending = { time: sinceBoot + epochOffset, change, process, subject, membership, hostFiles, rights }
    if (membership.build || !waiting.hold(membership.id, pending)) publish(pending)
    else heldTimer ??= setTimeout(releaseHeld, heldMs)
  }

  function publish({ time, change, process, subject, membership, hostFiles, rights }: Pending): void {
    belonging.container(membership, subject)
    const container: Container = containerFor(membership, containers)
    const origin = originOf(membership, container, table, bootTime)
    emit({ kind: 'process', time, change, container, process, origin, hostFiles, ...rights })
  }

  function everySecond(): void {
    epochOffset = clock.epochOffset()
    table.forget()
    // Also forgets what it waited for in vain.
    waiting.release()
    if (overflow === 0) return
    emit({
      kind: 'events-lost',
      time: clock.sinceBoot() + epochOffset,
      source: 'processes',
      reason: 'table-full',
      count: overflow,
    })
    overflow = 0
  }

  function releaseHeld(): void {
    waiting.release()
    heldTimer = waiting.size > 0 ? setTimeout(releaseHeld, heldMs) : undefined
  }

  function close(): void {
    clearInterval(timer)
    clearTimeout(heldTimer)
  }

  return { found, executed, forked, idsChanged, exited, close }
}

// How late an observation may be after the engine has named its container.
const heldMs = 10

/** Described at once, because the process goes on to change; named and judged when its container is known. */
type Pending = {
  time: number
  change: ProcessChange
  process: Process
  subject: KnownProcess
  membership: Membership
  hostFiles: HostFiles | null
  rights: RightsSeen
}

/** What a process was before a change, or its parent where it is new; and whether the change was seen as it happened. */
type Before = { earlier: Earlier | undefined; isExact: boolean }

const unknownProcess = {
  parentPid: 0,
  uid: 0,
  euid: 0,
  gid: 0,
  capabilities: 0,
  namespaces: { mount: 0, pid: 0, user: 0 },
  cgroup: rootCgroup,
  program: () => noProgram,
  exeDevice: 0,
}

function update(process: KnownProcess, seen: SeenProcess): void {
  process.parentPid = seen.parentPid
  process.uid = seen.uid
  process.euid = seen.euid
  process.gid = seen.gid
  process.capabilities = seen.capabilities
  process.namespaces = seen.namespaces
  process.cgroup = seen.cgroup
  process.program = seen.program
  process.exeDevice = seen.exeDevice
}

function changeBetween(known: KnownProcess, seen: SeenProcess): ProcessChange | null {
  const before = known.program()
  const after = seen.program()
  const isSameProgram = before.exe === after.exe && before.argv.join('\0') === after.argv.join('\0')
  if (!isSameProgram) return 'executed'
  return known.uid === seen.uid && known.euid === seen.euid ? null : 'ids-changed'
}
