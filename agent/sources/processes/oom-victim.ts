import { readFileSync } from 'node:fs'
import type { ContainerLookup } from '../../model/container.ts'
import type { OomVictim } from '../../model/observation.ts'
import { type Cgroup, containerOf } from './attribution/cgroup.ts'
import { containerFor, originOf } from './table/describe.ts'
import { noProgram, type KnownProcess } from './table/known-process.ts'
import { isProcessGone } from '../../lib/errors.ts'
import type { ProcessTable } from './table/table.ts'

/** An OOM victim as the kernel reports it. */
export type SeenVictim =
  | {
      pid: number
      startTicks: number
      cgroup: Cgroup
      isGroup: boolean
      /**
       * Pid 1 in a pid namespace directly below the host's: a container's init, unless it shares another pid
       * namespace.
       */
      isNamespaceInit: boolean
    }
  /** Older kernels report only the id of one of its threads. */
  | { threadId: number }

export type VictimsOptions = {
  procRoot: string
  table: ProcessTable
  containers: ContainerLookup
  /** Epoch milliseconds. */
  bootTime: number
}

/** Resolves OOM victims to container processes; null for a process of the host or an image build, or an unknown one. */
export function oomVictims({ procRoot, table, containers, bootTime }: VictimsOptions) {
  function describe(seen: SeenVictim, time: number): OomVictim | null {
    const process = 'threadId' in seen ? processOfThread(seen.threadId) : table.find(seen)
    if (process === undefined) return 'threadId' in seen ? null : describeUnknown(seen, time)
    const { membership, pid, startTicks } = process
    if (membership === null || membership.build) return null
    const { exe, argv } = process.program()
    const container = containerFor(membership, containers)
    const origin = originOf(membership, container, table, bootTime)
    const isExec = origin.via === 'entered' && origin.entry.pid === pid
    return {
      kind: 'oom-victim',
      time,
      container,
      process: { pid, startTicks, exe, argv },
      isInit: isInit(process, container.details?.pid ?? 0, table),
      isGroup: 'isGroup' in seen && seen.isGroup,
      execId: isExec ? origin.execId : '',
    }
  }

  /** A process that is not in the table: its cgroup still identifies its container. */
  function describeUnknown(seen: Exclude<SeenVictim, { threadId: number }>, time: number): OomVictim | null {
    const { pid, startTicks, cgroup, isGroup, isNamespaceInit } = seen
    const [id] = cgroup.ids
    if (id === undefined) return null
    const container = containerOf(cgroup, containers) ?? containerFor({ id, build: false }, containers)
    const initPid = container.details?.pid ?? 0
    return {
      kind: 'oom-victim',
      time,
      container,
      process: { pid, startTicks, exe: noProgram.exe, argv: noProgram.argv },
      isInit: initPid === 0 ? isNamespaceInit : initPid === pid,
      isGroup,
      execId: '',
    }
  }

  /** The thread is nearly always the thread group leader; any other is looked up in /proc while it exists. */
  function processOfThread(threadId: number): KnownProcess | undefined {
    const known = table.get(threadId)
    if (known !== undefined) return known
    const pid = readProcessId(procRoot, threadId)
    return pid === null ? undefined : table.get(pid)
  }

  return { describe }
}

/** Whether a process is, or was when it exited, its container's init. */
export function isInit(
  { pid, startTicks, membership }: KnownProcess,
  initPid: number,
  table: Pick<ProcessTable, 'get'>,
): boolean {
  if (membership === null) return false
  if (pid === initPid) return true
  // The engine's pid may be from the previous run: only a running init proves that another process is not the init.
  if (table.get(initPid)?.membership?.id === membership.id) return false
  const { first, entry } = membership
  return first && entry.pid === pid && entry.startTicks === startTicks
}

/** The pid of a thread's process; null when it has exited. */
function readProcessId(procRoot: string, threadId: number): number | null {
  try {
    const status = readFileSync(`${procRoot}/${threadId}/status`, 'latin1')
    const pid = /\nTgid:\t(\d+)/.exec(status)?.[1]
    return pid === undefined ? null : Number(pid)
  } catch (error) {
    if (isProcessGone(error)) return null
    throw error
  }
}
