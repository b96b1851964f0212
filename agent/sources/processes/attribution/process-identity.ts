import type { CallerProcess, FileWriter } from '../../../model/observation.ts'
import type { ProcessKey } from '../../../model/process-key.ts'
import type { KnownProcess, SeenProcess } from '../table/known-process.ts'
import { loginUserOf, type Naming } from './login-user.ts'
import { readProcess } from '../table/procfs-process.ts'
import type { ProcessTable } from '../table/table.ts'

/** A process with the user that it had at the time in question. */
export type Who = ProcessKey & { uid: number }

/**
 * Who a process is, as people ask for it. `process` is what is known of it, null where that is nothing; `ancestors` are
 * those that are told, the nearest first.
 */
export function describeWho(
  who: Who,
  process: Pick<KnownProcess, 'program'> | null,
  ancestors: readonly KnownProcess[],
  naming: Naming,
): CallerProcess {
  const { pid, uid } = who
  return {
    pid,
    uid,
    user: naming.users.nameOf(uid),
    loginUser: loginUserOf(who, naming),
    ...programOf(process),
    ancestors: ancestors.map((ancestor) => ({ pid: ancestor.pid, ...programOf(ancestor) })),
  }
}

/** Of whom no more is known than the pid: it ended before anybody could look at it. */
export function unknownWho(pid: number): FileWriter {
  return { pid, uid: null, user: '', loginUser: '', exe: '', argv: [], ancestors: [] }
}

// A shell in a terminal in a session of sshd has 8.
export const maxAncestors = 12

/** Who made a process, the nearest first; as many as tell something. */
export function ancestorsOf(process: SeenProcess, table: ProcessTable): KnownProcess[] {
  const known = table.find(process)
  const parent = known === undefined ? table.get(process.parentPid) : table.makerOf(known)
  const line = parent === undefined ? [] : [parent, ...table.ancestors(parent)]
  return line.slice(0, maxAncestors)
}

/** What /proc tells of a process; null also where we have no right to look, as at another user's. */
export function readLiving(procRoot: string, pid: number): SeenProcess | null {
  try {
    return readProcess(procRoot, pid)
  } catch {
    return null
  }
}

function programOf(process: Pick<KnownProcess, 'program'> | null) {
  const { exe = '', argv = [] } = process?.program() ?? {}
  return { exe, argv }
}
