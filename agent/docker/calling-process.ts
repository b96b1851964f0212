import type { CallerProcess } from '../model/observation.ts'
import type { KnownProcess, SeenProcess } from '../processes/known-process.ts'
import { loginUserOf } from '../processes/login-user.ts'
import { readProcess } from '../processes/proc.ts'
import type { ProcessTable } from '../processes/table.ts'
import type { HostUsers } from '../host-users.ts'

export type CallingProcessOptions = { table: ProcessTable; procRoot: string; users: HostUsers }

/** A process with the user that it had when it called. */
export type CallingProcess = { pid: number; startTicks: number; uid: number }

/** Tells all there is to tell of a client, at once: it may be gone in a moment, and its ancestors after it. */
export function describeCaller(calling: CallingProcess, options: CallingProcessOptions): CallerProcess {
  const { table, procRoot, users } = options
  const { pid, uid } = calling
  const known = table.find(calling) ?? readLiving(procRoot, calling)
  const { exe = '', argv = [] } = known?.program() ?? {}
  return {
    pid,
    uid,
    user: users.nameOf(uid),
    loginUser: loginUserOf(calling, options),
    exe,
    argv,
    ancestors: known === undefined ? [] : ancestorsOf(known, table).map(asAncestor),
  }
}

function asAncestor({ pid, program }: KnownProcess): CallerProcess['ancestors'][number] {
  const { exe, argv } = program()
  return { pid, exe, argv }
}

// A shell in a terminal in a session of sshd has 8.
const maxAncestors = 12

/** Who made a process, the nearest first; as many as tell something. */
export function ancestorsOf(process: SeenProcess, table: ProcessTable): KnownProcess[] {
  const known = table.find(process)
  const parent = known === undefined ? table.get(process.parentPid) : table.makerOf(known)
  const line = parent === undefined ? [] : [parent, ...table.ancestors(parent)]
  return line.slice(0, maxAncestors)
}

function readLiving(procRoot: string, { pid, startTicks }: CallingProcess): SeenProcess | undefined {
  try {
    const living = readProcess(procRoot, pid)
    return living?.startTicks === startTicks ? living : undefined
  } catch {
    // Another user's, where we have no right to look.
    return undefined
  }
}
