import type { Container } from '../../../model/container.ts'
import type { ProcessKey } from '../../../model/process-key.ts'
import type { KnownProcess, Membership } from '../table/known-process.ts'
import { readStat } from '../table/procfs-process.ts'
import type { ProcessTable } from '../table/table.ts'
import { type ExecOfSession } from '../../../model/exec-view.ts'

/**
 * The membership of a process that was found, and whose exec has ended or was begun before we looked: adopted by the
 * container's init it looks like the container's own. Null for all others.
 */
export function leftBehind(
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

/** The processes now living of those that came into a container with this one. */
export function leftOf(table: Pick<ProcessTable, 'living'>, { pid, startTicks }: ProcessKey): ProcessKey[] {
  return [...table.living()]
    .filter(({ membership }) => membership?.entry.pid === pid && membership.entry.startTicks === startTicks)
    .map((one) => ({ pid: one.pid, startTicks: one.startTicks }))
}
