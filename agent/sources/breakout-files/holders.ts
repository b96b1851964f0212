import { readFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { isProcessGone } from '../../lib/errors.ts'
import type { KnownProcess } from '../processes/table/known-process.ts'
import type { ProcessTable } from '../processes/table/table.ts'
import { findHierarchyMount, type HierarchyMount } from './hierarchies.ts'

/** Processes of one mount namespace in which a hierarchy is mounted. */
export type Holders = { mount: HierarchyMount; processes: readonly KnownProcess[] }

export type FindHoldersOptions = {
  table: ProcessTable
  procRoot: string
  /** The host's own mount namespace, which the caller has already checked. */
  hostMountNamespace: number
  signal: AbortSignal
}

/**
 * Finds the processes that have a hierarchy mounted which the host has not: the only trace of the process that
 * mounted it. Checks each mount namespace once, those of containers first, in slices.
 */
export async function findHolders(
  hierarchy: string,
  { table, procRoot, hostMountNamespace, signal }: FindHoldersOptions,
): Promise<Holders | null> {
  const namespaces = new Map<number, KnownProcess[]>()
  for (const process of table.living()) {
    const { mount } = process.namespaces
    if (mount === 0 || mount === hostMountNamespace) continue
    const others = namespaces.get(mount)
    if (others === undefined) namespaces.set(mount, [process])
    else if (others.length < maxHolders) others.push(process)
  }
  const isInContainer = (processes: readonly KnownProcess[]) =>
    processes.some(({ membership }) => membership !== null)
  const inOrder = [...namespaces.values()].toSorted(
    (a, b) => Number(isInContainer(b)) - Number(isInContainer(a)),
  )
  for (const [index, processes] of inOrder.entries()) {
    if (index % namespacesPerSlice === namespacesPerSlice - 1) await setImmediate()
    if (signal.aborted) return null
    const mount = findHierarchyMount(mountsOf(processes, procRoot), hierarchy)
    if (mount !== null) return { mount, processes }
  }
  return null
}

const maxHolders = 5

// A mountinfo of 100 lines takes 0.2 ms.
const namespacesPerSlice = 20

function mountsOf(processes: readonly KnownProcess[], procRoot: string): string {
  for (const { pid } of processes) {
    try {
      return readFileSync(`${procRoot}/${pid}/mountinfo`, 'utf8')
    } catch (error) {
      if (!isProcessGone(error) && !isForbidden(error)) throw error
    }
  }
  return ''
}

// A zombie, or another user's process that we may not inspect.
function isForbidden(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && ['EACCES', 'EPERM', 'EINVAL'].includes(String(error.code))
  )
}
