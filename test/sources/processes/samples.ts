import type { BootClock } from '../../../agent/linux/boot-clock.ts'
import type { Container, ContainerLookup } from '../../../agent/model/container.ts'
import type {
  EventsLost,
  OomVictim,
  ProcessKilled,
  ProcessObservation,
  UsermodeHelper,
} from '../../../agent/model/observation.ts'
import { cgroupOf, rootCgroup } from '../../../agent/sources/processes/attribution/cgroup.ts'
import {
  type KnownProcess,
  type Membership,
  noProgram,
  type SeenProcess,
} from '../../../agent/sources/processes/table/known-process.ts'
import { processTable } from '../../../agent/sources/processes/table/table.ts'
import { processTracker } from '../../../agent/sources/processes/tracker.ts'
import { uidMaps } from '../../../agent/linux/uid-map.ts'
import type { ExecOfSession } from '../../../agent/model/exec-view.ts'

/** Clocks that only move when a test moves them: 10 s after boot, in 2026. */
export function fakeClock(): BootClock & { forward(ms: number): void; set(byMs: number): void } {
  let sinceBoot = 10_000
  let epochOffset = Date.UTC(2026, 10, 23)
  return {
    sinceBoot: () => sinceBoot,
    epochOffset: () => epochOffset,
    asleep: () => 0,
    forward: (ms) => void (sinceBoot += ms),
    set: (byMs) => void (epochOffset += byMs),
  }
}

/** Namespaces of the host in tests; containers have higher numbers. */
export const hostNamespaces = { mount: 1, pid: 2, user: 3 }

/** A snapshot of a host process of root; each field can be overridden. */
export function seenProcess(process: Partial<SeenProcess> = {}): SeenProcess {
  return {
    pid: 100,
    startTicks: 500,
    parentPid: 1,
    uid: 0,
    euid: 0,
    gid: 0,
    capabilities: 0,
    namespaces: hostNamespaces,
    cgroup: rootCgroup,
    program: () => ({ ...noProgram, comm: 'sh', exe: '/bin/sh', argv: ['sh'] }),
    exeDevice: 0,
    rootDevice: 0,
    atExec: null,
    ...process,
  }
}

/** The same as a process in the table. */
export function knownProcess(process: Partial<KnownProcess> = {}): KnownProcess {
  return {
    ...seenProcess(),
    creatorPid: 0,
    creatorStartTicks: 0,
    membership: null,
    mayRegainRoot: false,
    beforeRoot: null,
    gain: null,
    exit: null,
    older: undefined,
    ...process,
  }
}

/** The membership of a process that entered a container; each field can be overridden. */
export function sampleMembership(membership: Partial<Membership> = {}): Membership {
  return {
    id: 'a'.repeat(64),
    build: false,
    entry: { pid: 100, startTicks: 500, parentPid: 1 },
    first: false,
    userNamespace: hostNamespaces.user,
    found: false,
    hadHostMounts: false,
    brought: { execId: '', by: [] },
    ...membership,
  }
}

/** The cgroup and namespaces of a container's processes. */
export function inContainer(id: string, number = 1): Pick<SeenProcess, 'cgroup' | 'namespaces'> {
  const namespaces = { mount: number * 10 + 1, pid: number * 10 + 2, user: hostNamespaces.user }
  return { cgroup: cgroupOf(['docker', id]), namespaces }
}

/** A program that was run with these arguments. */
export function running(...argv: string[]): SeenProcess['program'] {
  return () => ({ ...noProgram, comm: argv[0] ?? '', exe: `/bin/${argv[0] ?? ''}`, argv })
}

/** A tracker with its own table, and containers that a test adds at any time. */
export function watched(
  known: readonly Container[] = [],
  procRoot = '/nonexistent',
  execOfSession?: ExecOfSession,
) {
  const clock = fakeClock()
  const pending = new Set<string>()
  const byId = new Map(known.map((container) => [container.id, container]))
  const containers: ContainerLookup = {
    get: (id) => byId.get(id),
    all: () => [...byId.values()],
    running: () => [...byId.values()],
    isPending: (id) => pending.has(id),
  }
  const table = processTable({ clock })
  const seen: (ProcessObservation | ProcessKilled | OomVictim | UsermodeHelper | EventsLost)[] = []
  const grown: string[] = []
  const bootTime = clock.epochOffset()
  const tracker = processTracker({
    procRoot,
    table,
    containers,
    hostNamespaces,
    uidMaps: uidMaps('/nonexistent', hostNamespaces.user),
    clock,
    bootTime,
    execOfSession,
    emit: (observation) => void seen.push(observation),
    onForkBurst: (id) => void grown.push(id),
  })
  return {
    clock,
    containers,
    table,
    tracker,
    bootTime,
    know: (container: Container) => void byId.set(container.id, container),
    pending,
    grown,
    killed: () => seen.filter((one) => one.kind === 'process-killed'),
    victims: () => seen.filter((one) => one.kind === 'oom-victim'),
    observed: () => seen.filter((one): one is ProcessObservation => one.kind === 'process'),
    helpers: () => seen.filter((one): one is UsermodeHelper => one.kind === 'usermode-helper'),
  }
}
