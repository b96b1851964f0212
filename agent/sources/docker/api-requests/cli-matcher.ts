import { BoundedMap } from '../../../lib/bounded-map.ts'
import type { BootClock } from '../../../linux/boot-clock.ts'
import type { Container } from '../../../model/container.ts'
import type { CallerProcess, ExecObservation } from '../../../model/observation.ts'
import type { KnownProcess } from '../../processes/table/known-process.ts'
import type { ProcessTable } from '../../processes/table/table.ts'
import { commandRequestsExec } from './client-command.ts'
import { type Client, clientKey } from './api-request-log.ts'

/** Finds Docker CLI processes by their command lines, for an exec whose request was not observed. */
export type CliMatcher = {
  /** Call it as soon as the exec is known: the client may exit with it. */
  match(exec: ExecObservation): readonly Client[]
  /** Whether this client also matched another exec: a client starts only one. */
  isShared(client: Client): boolean
}

export type CliMatcherOptions = {
  table: Pick<ProcessTable, 'living' | 'creatorOf'>
  clock: BootClock
  describe: (process: KnownProcess) => CallerProcess
  containerOf: (process: KnownProcess) => Container | null
}

/** Searches recently started processes. */
export function cliMatcher({ table, clock, describe, containerOf }: CliMatcherOptions): CliMatcher {
  // The ids of the execs that each client matched.
  const claims = new BoundedMap<string, Set<string>>(maxClaims)

  function match(exec: ExecObservation): readonly Client[] {
    // An argv known only as joined text cannot be compared with a command line.
    if (!exec.exact) return []
    const earliest = (clock.sinceBoot() - maxAgeMs) / 10
    const found = [...table.living()].filter(
      ({ startTicks, program }) => startTicks >= earliest && matches(program(), exec),
    )
    // `docker compose` runs Compose as a plugin with the same arguments.
    const creators = new Set(found.map((process) => table.creatorOf(process)))
    return found
      .filter((process) => !creators.has(process))
      .map((process) => {
        const key = clientKey(process)
        claim(key, exec.execId)
        return { key, process: describe(process), container: containerOf(process), address: '' }
      })
  }

  function claim(key: string, execId: string): void {
    const execs = claims.get(key) ?? new Set()
    claims.set(key, execs.add(execId))
  }

  return { match, isShared: ({ key }) => (claims.get(key)?.size ?? 0) > 1 }
}

function matches(
  { argv, argvTruncated }: ReturnType<KnownProcess['program']>,
  exec: ExecObservation,
): boolean {
  return !argvTruncated && commandRequestsExec(argv, exec)
}

// A client sends its request within 50 ms after its start; if it has to wait for the engine's lock, within seconds.
const maxAgeMs = 10_000

const maxClaims = 1_000
