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
import { growthWatch } from './fork-burst.ts'
import { killedProcesses } from './killed.ts'
import {
  changeBetween,
  type ExitCode,
  type Ids,
  inheritor,
  knownProcess,
  type KnownProcess,
  type SeenProcess,
  unknownProcess,
  update,
} from './table/known-process.ts'
import { memberships } from './attribution/membership.ts'
import { oomVictims, type SeenVictim } from './oom-victim.ts'
import { earlierOf } from './credentials/credential-tracker.ts'
import type { WritableProcessTable } from './table/table.ts'
import { type Before, processTeller } from './observer.ts'
import type { UidMaps } from '../../linux/uid-map.ts'
import { helperWatch } from './attribution/usermode-helper.ts'
import type { ExecOfSession } from '../../model/exec-view.ts'

/** What every mode tells of processes, whichever way it saw them. Times in milliseconds since boot. */
export type ProcessTracker = {
  /** A process as /proc shows it: new, or known and perhaps changed. */
  found(seen: SeenProcess, sinceBoot: number): void
  /** `isExact` is false where the process was looked at a while after, and may have gone on. */
  executed(seen: SeenProcess, sinceBoot: number, isExact?: boolean): void
  forked(child: Forked, sinceBoot: number): void
  idsChanged(pid: number, ids: Partial<Ids>, sinceBoot: number): void
  exited(pid: number, startTicks: number | null, sinceBoot: number, code: ExitCode | null): void
  /** The kernel has chosen a process to be OOM-killed. */
  oomVictim(seen: SeenVictim, sinceBoot: number): void
  /** Stops its timers. */
  close(): void
}

export type Forked = Pick<KnownProcess, 'pid' | 'startTicks' | 'parentPid' | 'uid' | 'euid'> & {
  makerPid: number
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
  /** To be told, by its id, of a container whose processes become more. */
  onGrowth: (containerId: string) => void
}

/** Keeps the table from what the modes tell, and makes observations of what happens in containers. */
export function processTracker(options: TrackerOptions): ProcessTracker {
  const { procRoot, table, containers, hostNamespaces, clock, emit, onGrowth } = options
  const { users = hostUsers(), execOfSession } = options
  const belonging = memberships({ procRoot, table, containers, hostNamespaces, users, execOfSession })
  const teller = processTeller({ ...options, belonging, users })
  const helpers = helperWatch({ table, containers, roots: belonging.roots })
  const killed = killedProcesses({ describe: teller.killed, emit })
  const growth = growthWatch(onGrowth)
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
    const process = known ?? knownProcess(seen, table.get(seen.parentPid))
    if (known !== undefined) update(known, seen)
    else if (!admit(process)) return
    process.membership ??= table.makerOf(process)?.membership ?? null
    settle(process, 'executed', sinceBoot, former, { earlier, isExact })
  }

  function forked(child: Forked, sinceBoot: number): void {
    const maker = table.get(child.makerPid)
    // Nothing is known to inherit: its exec or the next look into /proc will tell.
    if (maker === undefined || table.find(child) !== undefined) return
    // Ids may change without a system call that would tell: by credentials overwritten in the kernel.
    changeIds(maker, child, sinceBoot)
    const process = inheritor(child, maker)
    if (!admit(process)) return
    if (process.membership !== null) growth.made(process.membership.id)
  }

  function idsChanged(pid: number, ids: Partial<Ids>, sinceBoot: number): void {
    const process = table.get(pid)
    if (process !== undefined) changeIds(process, ids, sinceBoot)
  }

  function changeIds(process: KnownProcess, ids: Partial<Ids>, sinceBoot: number): void {
    const { uid = process.uid, euid = process.euid, gid, capabilities } = ids
    const isOther = uid !== process.uid || euid !== process.euid
    const earlier = isOther ? earlierOf(process) : undefined
    process.uid = uid
    process.euid = euid
    process.gid = gid ?? process.gid
    process.capabilities = capabilities ?? process.capabilities
    if (!isOther || process.membership === null) return
    teller.tell(process, process.membership, 'ids-changed', sinceBoot, { earlier, isExact: true })
  }

  function exited(pid: number, startTicks: number | null, sinceBoot: number, code: ExitCode | null): void {
    const process =
      startTicks === null ? table.get(pid) : (table.find({ pid, startTicks }) ?? bury(pid, startTicks))
    if (process === undefined) return
    table.end(process, sinceBoot, code)
    belonging.ended(process)
    if (process.membership !== null) growth.ended(process.membership.id)
    killed.ended(process, sinceBoot)
  }

  function oomVictim(seen: SeenVictim, sinceBoot: number): void {
    const victim = victims.describe(seen, teller.timeOf(sinceBoot))
    if (victim !== null) emit(victim)
  }

  /** A stranger that ends is in /proc for a moment still, and must not be found there as if it lived. */
  function bury(pid: number, startTicks: number): KnownProcess | undefined {
    const former = table.get(pid)
    if (former !== undefined && former.startTicks > startTicks) return undefined
    const stranger = knownProcess({ ...unknownProcess, pid, startTicks }, undefined)
    return admit(stranger) ? stranger : undefined
  }

  function admit(process: KnownProcess): boolean {
    const hasRoom = table.add(process)
    if (!hasRoom) overflow++
    return hasRoom
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
    if (process.membership !== null) teller.tell(process, process.membership, change, sinceBoot, before)
  }

  function observeHelper(helper: KnownProcess, sinceBoot: number): void {
    const file = helpers.fileOf(helper)
    if (file !== null) emit({ ...teller.helper(helper, sinceBoot), ...file })
  }

  function everySecond(): void {
    table.forget()
    teller.everySecond()
    killed.everySecond()
    growth.forget()
    if (overflow === 0) return
    emit({
      kind: 'events-lost',
      time: teller.timeOf(clock.sinceBoot()),
      source: 'processes',
      reason: 'table-full',
      count: overflow,
    })
    overflow = 0
  }

  function close(): void {
    clearInterval(timer)
    teller.close()
    growth.close()
  }

  return { found, executed, forked, idsChanged, exited, oomVictim, close }
}
