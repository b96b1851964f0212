import type { BootClock } from '../../../linux/boot-clock.ts'
import type { Container } from '../../../model/container.ts'
import type { CallerProcess, ExecObservation } from '../../../model/observation.ts'
import type { KnownProcess } from '../../processes/table/known-process.ts'
import type { ProcessTable } from '../../processes/table/table.ts'
import { commandAsksFor } from './client-command.ts'
import { type Client, clientKey } from './api-request-log.ts'

/** Docker clients found by their command lines, for an exec whose request was not seen. */
export type CommandHints = {
  /** To be asked as soon as the exec is known: the client may end with it. */
  of(exec: ExecObservation): readonly Client[]
  /** Whether another exec has the same hint: a client asks for one only. */
  isShared(client: Client): boolean
}

export type CommandHintsOptions = {
  table: Pick<ProcessTable, 'living' | 'makerOf'>
  clock: BootClock
  describe: (process: KnownProcess) => CallerProcess
  containerOf: (process: KnownProcess) => Container | null
}

/** Looks through the processes that began a moment ago. */
export function commandHints({ table, clock, describe, containerOf }: CommandHintsOptions): CommandHints {
  // The ids of the execs that each client may have asked for, the oldest first.
  const claims = new Map<string, Set<string>>()

  function of(exec: ExecObservation): readonly Client[] {
    // Of an argv of which only the text is known, a client's could not be told apart.
    if (!exec.exact) return []
    const earliest = (clock.sinceBoot() - maxAgeMs) / 10
    const found = [...table.living()].filter(
      ({ startTicks, program }) => startTicks >= earliest && asksFor(program(), exec),
    )
    // Compose as a plugin is run by a docker of the same words.
    const makers = new Set(found.map((process) => table.makerOf(process)))
    return found
      .filter((process) => !makers.has(process))
      .map((process) => {
        const key = clientKey(process)
        claim(key, exec.execId)
        return { key, process: describe(process), container: containerOf(process), address: '' }
      })
  }

  function claim(key: string, execId: string): void {
    const execs = claims.get(key) ?? new Set()
    claims.set(key, execs.add(execId))
    const [oldest] = claims.keys()
    if (claims.size > maxClaims && oldest !== undefined) claims.delete(oldest)
  }

  return { of, isShared: ({ key }) => (claims.get(key)?.size ?? 0) > 1 }
}

function asksFor(
  { argv, argvTruncated }: ReturnType<KnownProcess['program']>,
  exec: ExecObservation,
): boolean {
  return !argvTruncated && commandAsksFor(argv, exec)
}

// A client asks within 50 ms after its start; one that has to wait for the engine's lock, within seconds.
const maxAgeMs = 10_000

const maxClaims = 1_000
