import type { EnteringProcess, ProcessOrigin } from '../model/observation.ts'
import type { KnownProcess } from './known-process.ts'
import type { ProcessTable } from './table.ts'

/** What is known of who brought a process into a container. */
export type Brought = Omit<Extract<ProcessOrigin, { via: 'entered' }>, 'via' | 'entry'>

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
  table: ProcessTable,
): Brought {
  const before = former === null ? [] : [{ ...entry, program: former }]
  const line = [...before, ...table.ancestors(entry)]
  // Whoever has only been forked says nothing that his maker does not say.
  const own = line.filter(({ program }, index) => program !== line[index + 1]?.program).slice(0, maxBy)
  const by = own.map(({ pid, uid, program, membership }): EnteringProcess => {
    const { exe, argv } = program()
    return { pid, uid, exe, argv, containerId: membership?.id ?? null }
  })
  // In a container anybody can write this on his own command line.
  const ids = by.map((one) => (one.containerId === null ? execIdIn(one.argv, containerId) : ''))
  return { execId: ids.find((id) => id !== '') ?? '', by }
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
