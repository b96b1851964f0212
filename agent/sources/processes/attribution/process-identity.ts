import type { CallerProcess, FileWriter } from '../../../model/observation.ts'
import type { ProcessKey } from '../../../model/process-key.ts'
import type { KnownProcess, SeenProcess } from '../table/known-process.ts'
import { loginUserOf, type Naming } from './login-user.ts'
import { readProcess } from '../table/procfs-process.ts'
import type { ProcessTable } from '../table/table.ts'

/** A process, with its uid at the time of the event. */
export type ActorKey = ProcessKey & { uid: number }

/**
 * Describes a process with its user, login user, program and ancestors. `process` is null where its program is unknown;
 * `ancestors` are the ones to include, nearest first.
 */
export function describeActor(
  actor: ActorKey,
  process: Pick<KnownProcess, 'program'> | null,
  ancestors: readonly KnownProcess[],
  naming: Naming,
): CallerProcess {
  const { pid, uid } = actor
  return {
    pid,
    uid,
    user: naming.users.nameOf(uid),
    loginUser: loginUserOf(actor, naming),
    ...programOf(process),
    ancestors: ancestors.map((ancestor) => ({ pid: ancestor.pid, ...programOf(ancestor) })),
  }
}

/** For a process of which only the pid is known, because it exited before it could be read. */
export function unknownActor(pid: number): FileWriter {
  return { pid, uid: null, user: '', loginUser: '', exe: '', argv: [], ancestors: [] }
}

// A shell in a terminal of an sshd session has 8.
export const maxAncestors = 12

/** The creators of a process, nearest first; bounded. */
export function ancestorsOf(process: SeenProcess, table: ProcessTable): KnownProcess[] {
  const known = table.find(process)
  const parent = known === undefined ? table.get(process.parentPid) : table.creatorOf(known)
  const ancestors = parent === undefined ? [] : [parent, ...table.ancestors(parent)]
  return ancestors.slice(0, maxAncestors)
}

/** Reads a process from /proc; null also without permission, as for another user's process. */
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
