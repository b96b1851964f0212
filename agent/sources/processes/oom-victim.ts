import { readFileSync } from 'node:fs'
import type { ContainerLookup } from '../../model/container.ts'
import type { OomVictim } from '../../model/observation.ts'
import { type Cgroup, containerOf } from './attribution/cgroup.ts'
import { containerFor, originOf } from './table/describe.ts'
import { noProgram, type KnownProcess } from './table/known-process.ts'
import { isProcessGone } from '../../lib/errors.ts'
import type { ProcessTable } from './table/table.ts'

/** A victim of an OOM kill as the kernel names it. */
export type SeenVictim =
  | {
      pid: number
      startTicks: number
      cgroup: Cgroup
      isGroup: boolean
      /** 1 in the first pid namespace below the host's: what a container's first process has, unless it shares another's. */
      isNamespaceInit: boolean
    }
  /** Older kernels give the id of one of its threads, and nothing else. */
  | { threadId: number }

export type VictimsOptions = {
  procRoot: string
  table: ProcessTable
  containers: ContainerLookup
  /** Epoch milliseconds. */
  bootTime: number
}

/** Resolves victims to processes of containers; null for a process of the host or an image build, or an unknown one. */
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

  /** A process that the table missed: its cgroup still names its container. */
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

  /** Nearly always the thread is the one that leads its process; another is found as long as it lives. */
  function processOfThread(threadId: number): KnownProcess | undefined {
    const known = table.get(threadId)
    if (known !== undefined) return known
    const pid = readProcessId(procRoot, threadId)
    return pid === null ? undefined : table.get(pid)
  }

  return { describe }
}

/** Whether a process is, or was when it ended, the first process of its container. */
export function isInit(
  { pid, startTicks, membership }: KnownProcess,
  initPid: number,
  table: Pick<ProcessTable, 'get'>,
): boolean {
  if (membership === null) return false
  if (pid === initPid) return true
  // What the engine reports may be of the run before: only a living init proves that another process is none.
  if (table.get(initPid)?.membership?.id === membership.id) return false
  const { first, entry } = membership
  return first && entry.pid === pid && entry.startTicks === startTicks
}

/** The process of a thread; null when it is gone. */
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
