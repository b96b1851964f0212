/**
 * Finds the client that requested an exec, which no event contains. The client is identified by its request, which the
 * kernel reports when the client writes it or, over TCP, when the engine reads it. Otherwise it is identified by its
 * command line.
 *
 * Read in this order: `request-line.ts` (parses a request), `api-request-log.ts` (requests by client),
 * `engine-ports.ts`, `connection-log.ts` and `tcp-clients.ts` (the same for TCP clients), `client-command.ts` and
 * `cli-matcher.ts` (command lines), `caller-verdict.ts` (which client it was), `calling-process.ts` (describes a
 * client).
 */
import {
  defer,
  filter,
  first,
  ignoreElements,
  map,
  merge,
  mergeMap,
  type Observable,
  of,
  tap,
  timer,
} from 'rxjs'
import { bootClock, type BootClock } from '../../../linux/boot-clock.ts'
import type { ContainerView } from '../../../model/container.ts'
import type { ApiRequest, ExecCaller, ExecObservation } from '../../../model/observation.ts'
import type { ApiWatch } from '../../processes/api-requests.ts'
import { containerFor } from '../../processes/table/describe.ts'
import type { ProcessTable } from '../../processes/table/table.ts'
import type { ActorKey } from '../../processes/attribution/process-identity.ts'
import { callerOf } from './caller-verdict.ts'
import { describeCaller } from './calling-process.ts'
import { type Client, clientKey, rememberMs, apiRequestLog } from './api-request-log.ts'
import { cliMatcher } from './cli-matcher.ts'
import type { TcpClients } from './tcp-clients.ts'
import { hostUsers } from '../../../linux/host-users.ts'

export type ExecCallersOptions = {
  execs$: Observable<ExecObservation>
  requests$: Observable<ApiRequest>
  /** Null while requests are not observed. */
  apiWatch: () => ApiWatch | null
  tcp: Omit<TcpClients, 'observe'>
  /** Whether clients are known to be processes of this host; unknown for a TCP endpoint. */
  local: boolean
  table: ProcessTable
  containers: ContainerView
  procRoot: string
  passwdPath?: string
  clock?: BootClock
  /** Epoch milliseconds. */
  now: () => number
}

/** Emits the caller of each exec, or that it is unknown. */
export function execCallers(options: ExecCallersOptions): Observable<ExecCaller> {
  const { execs$, requests$, apiWatch, tcp, local, table, containers, procRoot, now } = options
  return defer(() => {
    const users = hostUsers(options.passwdPath)
    const describe = (client: ActorKey) => describeCaller(client, { table, procRoot, users })
    const requests = apiRequestLog<ApiRequest>({
      keyOf: clientKey,
      groupOf: clientKey,
      clientOf: (request) => ({
        key: clientKey(request),
        process: describe(request),
        container: request.container,
        address: '',
      }),
    })
    const startersOf = (execId: string) => [...requests.startersOf(execId), ...tcp.startersOf(execId)]
    const matcher = cliMatcher({
      table,
      describe,
      clock: options.clock ?? bootClock(),
      containerOf: ({ membership }) => (membership ? containerFor(membership, containers) : null),
    })
    const lastLoss = lossTimer(now)

    function judge(exec: ExecObservation): Observable<ExecCaller> {
      // A client writes its request before the engine reports the exec, so the kernel has reported the request by
      // now.
      const isCurrent = catchUp()
      const starters = startersOf(exec.execId)
      if (isCurrent && starters.length > 0) return of(report(exec, starters, []))
      // The engine starts health checks itself; a client that runs the same command must not be named as the caller.
      const matches = local && !exec.healthcheck ? matcher.match(exec) : []
      return timer(waitMs, waitMs).pipe(
        first((round) => catchUp() || round >= maxRounds),
        map(() => report(exec, startersOf(exec.execId), matches)),
      )
    }

    /** Whether everything that the kernel has reported is processed. */
    function catchUp(): boolean {
      return (apiWatch()?.catchUp() ?? true) && tcp.catchUp()
    }

    function report(
      exec: ExecObservation,
      starters: readonly Client[],
      matches: readonly Client[],
    ): ExecCaller {
      const { container, execId, time, healthcheck } = exec
      const cliMatches = matches.filter((client) => !requests.hasStarted(client))
      const caller = callerOf({
        starters,
        cliMatches,
        isShared: cliMatches.some(matcher.isShared),
        sawAll: starters.length === 0 && sawAll(exec) && tcp.sawAll(exec),
        active: tcp.activeBefore(exec.time),
        healthcheck,
      })
      return { kind: 'exec-caller', time, container, execId, caller }
    }

    function sawAll(exec: ExecObservation): boolean {
      const watch = apiWatch()
      if (watch === null || exec.time < watch.since || exec.time < now() - rememberMs) return false
      return watch.catchUp() && lastLoss(watch) < exec.time - lossMs && !requests.isUncertain(exec)
    }

    return merge(
      requests$.pipe(tap(requests.add), ignoreElements()),
      execs$.pipe(
        // Without an id a caller cannot be joined to the exec.
        filter(({ execId }) => execId !== ''),
        mergeMap(judge),
      ),
    )
  })
}

// Long enough for the report about a client that was interrupted after its write, and for another exec with the same
// command line, which makes a match ambiguous.
const waitMs = 100

// On a host short of CPU the kernel may have reported more than one round can read.
const maxRounds = 9

// A lost request came at most this long before its exec.
const lossMs = 1_000

/** Returns when the loss count was last found to have grown. The loss itself was not later than that. */
function lossTimer(now: () => number): (watch: ApiWatch) => number {
  let count = 0
  let noticedAt = -Infinity
  return (watch) => {
    const lost = watch.lost()
    if (lost !== count) noticedAt = now()
    count = lost
    return noticedAt
  }
}
