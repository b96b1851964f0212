import type { CallerProcess, FileWriter } from '../model/observation.ts'
import type { KnownProcess, SeenProcess } from './known-process.ts'
import { loginUserOf, type Naming } from './login-user.ts'
import { readProcess } from './proc.ts'

/** Who a process is, as people ask for it. `ancestors` are those that are told, the nearest first. */
export function describeWho(
  process: SeenProcess,
  ancestors: readonly KnownProcess[],
  naming: Naming,
): CallerProcess {
  return {
    pid: process.pid,
    uid: process.euid,
    user: naming.users.nameOf(process.euid),
    loginUser: loginUserOf(process, naming),
    ...programOf(process),
    ancestors: ancestors.map((ancestor) => ({ pid: ancestor.pid, ...programOf(ancestor) })),
  }
}

/** Of whom no more is known than the pid: it ended before anybody could look at it. */
export function unknownWho(pid: number): FileWriter {
  return { pid, uid: null, user: '', loginUser: '', exe: '', argv: [], ancestors: [] }
}

/** What /proc tells of a process; null also where we have no right to look, as at another user's. */
export function readLiving(procRoot: string, pid: number): SeenProcess | null {
  try {
    return readProcess(procRoot, pid)
  } catch {
    return null
  }
}

function programOf({ program }: Pick<KnownProcess, 'program'>) {
  const { exe, argv } = program()
  return { exe, argv }
}
