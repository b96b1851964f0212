import type { EnteringProcess } from '../../../model/observation.ts'
import type { KnownProcess } from '../table/known-process.ts'
import { loginUserOf, type Naming } from './login-user.ts'
import type { ProcessTable } from '../table/table.ts'
import { type EntryAncestry } from '../table/known-process.ts'

/** There are seldom more programs than this between an entry and its login or service. */
const maxLineage = 8

/**
 * Which programs brought a process into its container. Looked up at the moment of entry, because the runtime exits soon
 * after. Includes the program the process itself ran before it entered: `nsenter` executes the requested program.
 */
export function entryAncestry(
  entry: KnownProcess,
  former: KnownProcess['program'] | null,
  containerId: string,
  { table, ...naming }: LineageOptions,
): EntryAncestry {
  const before = former === null ? [] : [{ ...entry, program: former }]
  const lineage = distinctPrograms([...before, ...table.ancestors(entry)])
  // A process in a container can put any text on its own command line.
  const ids = lineage.map(({ program, membership }) =>
    membership === null ? execIdIn(program().argv, containerId) : '',
  )
  const execId = ids.find((id) => id !== '') ?? ''
  // For an exec of the Docker API the caller's login user is determined elsewhere.
  return { execId, by: lineage.map((process) => describeAncestor(process, naming, execId === '')) }
}

/** A process and its ancestors with their names, nearest first; bounded. */
export function lineageOf(process: KnownProcess, { table, ...naming }: LineageOptions): EnteringProcess[] {
  const lineage = distinctPrograms([process, ...table.ancestors(process)])
  return lineage.map((one) => describeAncestor(one, naming, true))
}

export type LineageOptions = Naming & { table: ProcessTable }

/** A process that was only forked adds nothing to what its creator shows. */
function distinctPrograms(lineage: readonly KnownProcess[]): KnownProcess[] {
  return lineage.filter(({ program }, index) => program !== lineage[index + 1]?.program).slice(0, maxLineage)
}

function describeAncestor(process: KnownProcess, naming: Naming, withLogin: boolean): EnteringProcess {
  const { pid, uid, program, membership } = process
  const { exe, argv } = program()
  const user = naming.users.nameOf(uid)
  const loginUser = withLogin ? loginUserOf(process, naming) : ''
  return { pid, uid, user, loginUser, exe, argv, containerId: membership?.id ?? null }
}

/** The exec id as the shim passes it to the runtime: `runc … exec … --pid-file BUNDLE/EXECID.pid CONTAINER`. */
export function execIdIn(argv: readonly string[], containerId: string): string {
  // After the container id comes the requested command, which may be any text.
  const own = argv.slice(0, argv.indexOf(containerId))
  const option = own.indexOf('--pid-file')
  if (option < 0 || !own.includes('exec')) return ''
  const [, container, execId] = /\/([0-9a-f]{64})\/([0-9a-f]{64})\.pid$/.exec(own[option + 1] ?? '') ?? []
  return container === containerId ? (execId ?? '') : ''
}
