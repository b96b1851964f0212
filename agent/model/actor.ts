import { isRuntimeInit } from './entry.ts'
import type { ExecView } from './exec-view.ts'
import type { Caller, EnteringProcess, ProcessObservation } from './observation.ts'
import { isRootUser } from './container.ts'

type Program = { exe: string; argv: readonly string[] }

/** Whether the caller is identified, and not only known to exist. */
export function isKnownCaller({ confidence }: Caller): boolean {
  return confidence === 'exact' || confidence === 'argv' || confidence === 'remote'
}

/** Who requested an exec, in words that are the same for each of their acts; undefined if unknown. */
export function callerActor(caller: Caller | null): string | undefined {
  if (caller === null || !isKnownCaller(caller)) return undefined
  const { process, container, address } = caller
  if (container !== null) return withProgram(`container ${container.id}`, process)
  if (process !== null) return withProgram(process.loginUser || process.user, process)
  // A client's port changes with each connection.
  return address === '' ? undefined : `address ${address.replace(/:\d+$/, '')}`
}

/** Who brought a process into a container without the Docker API; undefined if unknown. */
export function entryActor(by: readonly EnteringProcess[]): string | undefined {
  const tool = by.find((one) => !isRuntimeInit(one)) ?? by[0]
  if (tool === undefined) return undefined
  const containerId = by.find((one) => one.containerId !== null)?.containerId
  const loginUser = by.find((one) => one.loginUser !== '')?.loginUser
  return withProgram(containerId ? `container ${containerId}` : (loginUser ?? tool.user), tool)
}

/** Who started a process of a container: the container itself, the caller of an exec, or who entered otherwise. */
export function processActor(
  seen: ProcessObservation,
  execs: Pick<ExecView, 'factsOf' | 'entryOf'>,
): string | undefined {
  const { origin } = seen
  if (origin.via === 'init') return 'container'
  // A process can claim any exec's id.
  if (execs.entryOf(seen).by !== 'exec') return entryActor(origin.by)
  return callerActor(execs.factsOf(origin.execId)?.caller ?? null)
}

/**
 * An actor with the program that it used: the same user by `docker` and by a script are two actors. The path
 * distinguishes a copy elsewhere from the original. Arguments are left out, because they can contain PIDs and temporary paths.
 */
export function withProgram(actor: string, program: Program | null): string {
  const path = program === null ? '' : programPath(program)
  return path === '' ? actor : `${actor} with ${path}`
}

/** The user that an operation ran as: `root` however it is written, and everything else as it is. */
export function targetUserOf(user: string): string {
  return isRootUser(user) ? 'root' : user
}

/** The path of a program's file, or else its name; an upgrade of a running program does not change it. */
function programPath({ exe, argv }: Program): string {
  const path = exe.replace(/ \(deleted\)$/, '')
  // A runtime that sealed itself, and a process that could not be read.
  return path === '' || path === '/' ? (argv[0] ?? '') : path
}
