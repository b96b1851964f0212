import type { Container } from '../../../model/container.ts'
import type { ProcessKey } from '../../../model/process-key.ts'
import type { KnownProcess, Membership } from '../table/known-process.ts'
import { readStat } from '../table/procfs-process.ts'
import type { ProcessTable } from '../table/table.ts'
import { type ExecOfSession } from '../../../model/exec-view.ts'

/**
 * Attributes a process found in /proc to its exec by its session id. An orphan of an exec that has exited or started
 * before us is a child of the container's init and looks like the container's own process. Null for all others.
 */
export function sessionMembership(
  { pid, startTicks }: KnownProcess,
  membership: Membership,
  container: Container | undefined,
  { procRoot, execOfSession }: { procRoot: string; execOfSession: ExecOfSession },
): Membership | null {
  const isInit = membership.first && membership.entry.pid === pid
  if (membership.build || membership.brought.execId !== '' || isInit) return null
  const session = readStat(procRoot, pid)?.session
  if (session === undefined) return null
  const exec = execOfSession({
    containerId: membership.id,
    runsSince: container?.details?.startedAt ?? 0,
    process: { pid, startTicks, session },
  })
  if (exec === null) return null
  const { execId, entry } = exec
  return { ...membership, entry: { ...entry, parentPid: 0 }, first: false, brought: { execId, by: [] } }
}

/** The running processes that descend from this entry into a container. */
export function processesOfEntry(
  table: Pick<ProcessTable, 'living'>,
  { pid, startTicks }: ProcessKey,
): ProcessKey[] {
  return [...table.living()]
    .filter(({ membership }) => membership?.entry.pid === pid && membership.entry.startTicks === startTicks)
    .map((one) => ({ pid: one.pid, startTicks: one.startTicks }))
}
