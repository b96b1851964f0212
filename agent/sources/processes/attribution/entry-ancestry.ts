import type { EnteringProcess } from '../../../model/observation.ts'
import type { KnownProcess } from '../table/known-process.ts'
import { loginUserOf, type Naming } from './login-user.ts'
import type { ProcessTable } from '../table/table.ts'
import { type Brought } from '../table/known-process.ts'

/** Up to a login or a service there are seldom more programs than this. */
const maxBy = 8

/**
 * Looked up at the moment of entry, because the runtime is gone soon after. What the process itself ran before it
 * was in the container counts as well: `nsenter` becomes the program that it was asked to run.
 */
export function broughtBy(
  entry: KnownProcess,
  former: KnownProcess['program'] | null,
  containerId: string,
  { table, ...naming }: LineOptions,
): Brought {
  const before = former === null ? [] : [{ ...entry, program: former }]
  const line = ownPrograms([...before, ...table.ancestors(entry)])
  // In a container anybody can write this on his own command line.
  const ids = line.map(({ program, membership }) =>
    membership === null ? execIdIn(program().argv, containerId) : '',
  )
  const execId = ids.find((id) => id !== '') ?? ''
  // Of an exec its caller is known by other means.
  return { execId, by: line.map((one) => nameProcess(one, naming, execId === '')) }
}

/** A process and those it descends from, the nearest first, with their names; bounded. */
export function lineageOf(process: KnownProcess, { table, ...naming }: LineOptions): EnteringProcess[] {
  const line = ownPrograms([process, ...table.ancestors(process)])
  return line.map((one) => nameProcess(one, naming, true))
}

export type LineOptions = Naming & { table: ProcessTable }

/** Whoever has only been forked says nothing that his maker does not say. */
function ownPrograms(line: readonly KnownProcess[]): KnownProcess[] {
  return line.filter(({ program }, index) => program !== line[index + 1]?.program).slice(0, maxBy)
}

function nameProcess(process: KnownProcess, naming: Naming, withLogin: boolean): EnteringProcess {
  const { pid, uid, program, membership } = process
  const { exe, argv } = program()
  const user = naming.users.nameOf(uid)
  const loginUser = withLogin ? loginUserOf(process, naming) : ''
  return { pid, uid, user, loginUser, exe, argv, containerId: membership?.id ?? null }
}

/** The exec's id as the shim hands it to the runtime: `runc … exec … --pid-file BUNDLE/EXECID.pid CONTAINER`. */
export function execIdIn(argv: readonly string[], containerId: string): string {
  // What follows the container is the program that was asked for, and may be any text.
  const own = argv.slice(0, argv.indexOf(containerId))
  const option = own.indexOf('--pid-file')
  if (option < 0 || !own.includes('exec')) return ''
  const [, container, execId] = /\/([0-9a-f]{64})\/([0-9a-f]{64})\.pid$/.exec(own[option + 1] ?? '') ?? []
  return container === containerId ? (execId ?? '') : ''
}
