import { type HostUsers, hostUsers } from '../../linux/host-users.ts'
import type { BootClock } from '../../linux/boot-clock.ts'
import type { ContainerLookup } from '../../model/container.ts'
import type {
  EventsLost,
  Namespaces,
  OomVictim,
  ProcessChange,
  ProcessKilled,
  ProcessObservation,
  UsermodeHelper,
} from '../../model/observation.ts'
import { forkBurstDetector } from './fork-burst.ts'
import { killedProcesses } from './killed.ts'
import {
  changeBetween,
  type ExitCode,
  type Ids,
  forkedProcess,
  knownProcess,
  type KnownProcess,
  type SeenProcess,
  unknownProcess,
  update,
} from './table/known-process.ts'
import { memberships } from './attribution/membership.ts'
import { oomVictims, type SeenVictim } from './oom-victim.ts'
import { priorStateOf } from './credentials/credential-tracker.ts'
import type { WritableProcessTable } from './table/table.ts'
import type { ChangeDetails } from './enrichment.ts'
import { processObserver } from './observer.ts'
import type { UidMaps } from '../../linux/uid-map.ts'
import { usermodeHelpers } from './attribution/usermode-helper.ts'
import type { ExecOfSession } from '../../model/exec-view.ts'
import { eventsLost } from '../../model/source-reports.ts'

/** Receives the process events of every mode. Times in milliseconds since boot. */
export type ProcessTracker = {
  /** A process as read from /proc: new, or known and possibly changed. */
  found(seen: SeenProcess, sinceBoot: number): void
  /** `isExact` is false if the process was read some time after the exec and may have changed since. */
  executed(seen: SeenProcess, sinceBoot: number, isExact?: boolean): void
  forked(child: Forked, sinceBoot: number): void
  idsChanged(pid: number, ids: Partial<Ids>, sinceBoot: number): void
  exited(pid: number, startTicks: number | null, sinceBoot: number, code: ExitCode | null): void
  /** The kernel has selected a process to OOM-kill. */
  oomVictim(seen: SeenVictim, sinceBoot: number): void
  /** Stops its timers. */
  close(): void
}

export type Forked = Pick<KnownProcess, 'pid' | 'startTicks' | 'parentPid' | 'uid' | 'euid'> & {
  creatorPid: number
}

export type TrackerOptions = {
  procRoot: string
  table: WritableProcessTable
  containers: ContainerLookup
  hostNamespaces: Namespaces
  uidMaps: UidMaps
  clock: BootClock
  /** Epoch milliseconds. */
  bootTime: number
  emit: (observation: ProcessObservation | ProcessKilled | OomVictim | UsermodeHelper | EventsLost) => void
  users?: HostUsers
  execOfSession?: ExecOfSession | undefined
  /** Called with the id of a container whose process count grows quickly. */
  onForkBurst: (containerId: string) => void
}

/** Updates the table from the events of the modes, and emits observations of container processes. */
export function processTracker(options: TrackerOptions): ProcessTracker {
  const { procRoot, table, containers, hostNamespaces, clock, emit, onForkBurst } = options
  const { users = hostUsers(), execOfSession } = options
  const membershipResolver = memberships({
    procRoot,
    table,
    containers,
    hostNamespaces,
    users,
    execOfSession,
  })
  const observer = processObserver({ ...options, membershipResolver, users })
  const helpers = usermodeHelpers({ table, containers, roots: membershipResolver.roots })
  const killed = killedProcesses({ describe: observer.killed, emit })
  const forkBursts = forkBurstDetector(onForkBurst)
  const victims = oomVictims(options)
  let overflow = 0
  const timer = setInterval(everySecond, 1_000)

  function found(seen: SeenProcess, sinceBoot: number): void {
    const known = table.find(seen)
    if (known === undefined) {
      const parent = table.get(seen.parentPid)
      const process = knownProcess(seen, parent)
      if (!admit(process)) return
      process.membership = parent?.membership ?? null
      process.gain = parent?.gain ?? null
      const prior = parent && priorStateOf(parent)
      attribute(process, 'found', sinceBoot, null, { prior, isExact: false, isNew: true })
      return
    }
    if (known.exit !== null) return
    const former = known.program
    const prior = priorStateOf(known)
    // A process of the host may have entered a container since.
    const change = changeBetween(known, seen) ?? (known.membership === null ? 'found' : null)
    update(known, seen)
    if (change !== null) attribute(known, change, sinceBoot, former, { prior, isExact: false })
  }

  function executed(seen: SeenProcess, sinceBoot: number, isExact = true): void {
    const known = table.find(seen)
    const former = known?.program ?? null
    const prior = known && priorStateOf(known)
    const process = known ?? knownProcess(seen, table.get(seen.parentPid))
    if (known !== undefined) update(known, seen)
    else if (!admit(process)) return
    process.membership ??= table.creatorOf(process)?.membership ?? null
    attribute(process, 'executed', sinceBoot, former, { prior, isExact })
  }

  function forked(child: Forked, sinceBoot: number): void {
    const creator = table.get(child.creatorPid)
    // Without a known creator nothing can be inherited: the child's exec or the next /proc scan will add it.
    if (creator === undefined || table.find(child) !== undefined) return
    // Ids may change without a system call that reports it: by overwriting credentials in kernel memory.
    changeIds(creator, child, sinceBoot)
    const process = forkedProcess(child, creator)
    if (!admit(process)) return
    if (process.membership !== null) forkBursts.forked(process.membership.id)
  }

  function idsChanged(pid: number, ids: Partial<Ids>, sinceBoot: number): void {
    const process = table.get(pid)
    if (process !== undefined) changeIds(process, ids, sinceBoot)
  }

  function changeIds(process: KnownProcess, ids: Partial<Ids>, sinceBoot: number): void {
    const { uid = process.uid, euid = process.euid, gid, capabilities } = ids
    const isOther = uid !== process.uid || euid !== process.euid
    const prior = isOther ? priorStateOf(process) : undefined
    process.uid = uid
    process.euid = euid
    process.gid = gid ?? process.gid
    process.capabilities = capabilities ?? process.capabilities
    if (!isOther || process.membership === null) return
    observer.observe(process, process.membership, 'ids-changed', sinceBoot, { prior, isExact: true })
  }

  function exited(pid: number, startTicks: number | null, sinceBoot: number, code: ExitCode | null): void {
    const process =
      startTicks === null ? table.get(pid) : (table.find({ pid, startTicks }) ?? addExited(pid, startTicks))
    if (process === undefined) return
    table.end(process, sinceBoot, code)
    membershipResolver.ended(process)
    if (process.membership !== null) forkBursts.exited(process.membership.id)
    killed.ended(process, sinceBoot)
  }

  function oomVictim(seen: SeenVictim, sinceBoot: number): void {
    const victim = victims.describe(seen, observer.timeOf(sinceBoot))
    if (victim !== null) emit(victim)
  }

  /**
   * An unknown process that exits stays in /proc briefly; recording its exit prevents a scan from adding it as
   * running.
   */
  function addExited(pid: number, startTicks: number): KnownProcess | undefined {
    const former = table.get(pid)
    if (former !== undefined && former.startTicks > startTicks) return undefined
    const unknown = knownProcess({ ...unknownProcess, pid, startTicks }, undefined)
    return admit(unknown) ? unknown : undefined
  }

  function admit(process: KnownProcess): boolean {
    const hasRoom = table.add(process)
    if (!hasRoom) overflow++
    return hasRoom
  }

  /** `former` is the program that the process ran before, if known. */
  function attribute(
    process: KnownProcess,
    change: ProcessChange,
    sinceBoot: number,
    former: KnownProcess['program'] | null,
    details: ChangeDetails,
  ): void {
    // A usermode helper belongs to no container, wherever its file is: it runs with the host's privileges.
    if (helpers.isHelper(process)) return observeHelper(process, sinceBoot)
    process.membership = membershipResolver.of(process, { found: change === 'found', former })
    if (process.membership !== null) observer.observe(process, process.membership, change, sinceBoot, details)
  }

  function observeHelper(helper: KnownProcess, sinceBoot: number): void {
    const file = helpers.fileOf(helper)
    if (file !== null) emit({ ...observer.helper(helper, sinceBoot), ...file })
  }

  function everySecond(): void {
    table.forget()
    observer.everySecond()
    killed.everySecond()
    forkBursts.forget()
    if (overflow === 0) return
    emit(eventsLost('processes', observer.timeOf(clock.sinceBoot()), 'table-full', overflow))
    overflow = 0
  }

  function close(): void {
    clearInterval(timer)
    observer.close()
    forkBursts.close()
  }

  return { found, executed, forked, idsChanged, exited, oomVictim, close }
}
