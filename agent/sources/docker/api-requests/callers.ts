/**
 * Who asked the engine for an exec. No event tells, so a client is known by its own request, seen by the kernel as it
 * was written or, by TCP, as the engine read it, or else by its command line.
 *
 * To be read in this order: `request-line.ts` (what a request asks for), `requests-seen.ts` (which clients asked for
 * what), `engine-ports.ts`, `connections-seen.ts` and `tcp-clients.ts` (the same of clients by TCP), `client-command.ts`
 * and `command-hints.ts` (what a command line asks for), `caller-verdict.ts` (who it was), `calling-process.ts` (what
 * there is to tell of a client).
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
import type { Who } from '../../processes/attribution/process-identity.ts'
import { callerOf } from './caller-verdict.ts'
import { describeCaller } from './calling-process.ts'
import { type Client, clientKey, rememberMs, requestsSeen } from './api-request-log.ts'
import { commandHints } from './cli-matcher.ts'
import type { TcpClients } from './tcp-clients.ts'
import { hostUsers } from '../../../linux/host-users.ts'

export type ExecCallersOptions = {
  execs$: Observable<ExecObservation>
  requests$: Observable<ApiRequest>
  /** Null while requests are not seen. */
  apiWatch: () => ApiWatch | null
  tcp: Omit<TcpClients, 'observe'>
  /** Whether clients are processes of this host: of an engine that is asked by TCP nobody can tell. */
  local: boolean
  table: ProcessTable
  containers: ContainerView
  procRoot: string
  passwdPath?: string
  clock?: BootClock
  /** Epoch milliseconds. */
  now: () => number
}

/** Tells of each exec who asked for it, or that nobody can tell. */
export function execCallers(options: ExecCallersOptions): Observable<ExecCaller> {
  const { execs$, requests$, apiWatch, tcp, local, table, containers, procRoot, now } = options
  return defer(() => {
    const users = hostUsers(options.passwdPath)
    const describe = (calling: Who) => describeCaller(calling, { table, procRoot, users })
    const requests = requestsSeen<ApiRequest>({
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
    const hints = commandHints({
      table,
      describe,
      clock: options.clock ?? bootClock(),
      containerOf: ({ membership }) => (membership ? containerFor(membership, containers) : null),
    })
    const lastLoss = lossNotice(now)

    function judge(exec: ExecObservation): Observable<ExecCaller> {
      // A request is written before the engine tells of what it asks for: the kernel has told of it by now.
      const isCurrent = catchUp()
      const starters = startersOf(exec.execId)
      if (isCurrent && starters.length > 0) return of(tell(exec, starters, []))
      // A health check is the engine's own; whoever runs the same at the same time must not be taken for it.
      const found = local && !exec.healthcheck ? hints.of(exec) : []
      return timer(waitMs, waitMs).pipe(
        first((round) => catchUp() || round >= maxRounds),
        map(() => tell(exec, startersOf(exec.execId), found)),
      )
    }

    /** Whether all that the kernel has told is known here. */
    function catchUp(): boolean {
      return (apiWatch()?.catchUp() ?? true) && tcp.catchUp()
    }

    function tell(exec: ExecObservation, starters: readonly Client[], found: readonly Client[]): ExecCaller {
      const { container, execId, time, healthcheck } = exec
      const mayBe = found.filter((client) => !requests.hasStarted(client))
      const caller = callerOf({
        starters,
        hints: mayBe,
        isShared: mayBe.some(hints.isShared),
        sawAll: starters.length === 0 && sawAll(exec) && tcp.sawAll(exec),
        active: tcp.activeBefore(exec.time),
        healthcheck,
      })
      return { kind: 'exec-caller', time, container, execId, caller }
    }

    function sawAll(exec: ExecObservation): boolean {
      const watch = apiWatch()
      if (watch === null || exec.time < watch.since || exec.time < now() - rememberMs) return false
      return watch.catchUp() && lastLoss(watch) < exec.time - lossMs && !requests.isUnsure(exec)
    }

    return merge(
      requests$.pipe(tap(requests.add), ignoreElements()),
      execs$.pipe(
        // Without an id there is nothing to join a caller to.
        filter(({ execId }) => execId !== ''),
        mergeMap(judge),
      ),
    )
  })
}

// For the client that was interrupted between its writing and the kernel's telling of it, and for an exec of the same
// words, which makes a hint ambiguous.
const waitMs = 100

// On a host that is short of processors there may be more to read than can be read at once.
const maxRounds = 9

// A request that was lost came not much earlier than the exec that it asked for.
const lossMs = 1_000

/** When it was first noticed that the count of losses has grown, which is when it had or later. */
function lossNotice(now: () => number): (watch: ApiWatch) => number {
  let count = 0
  let noticedAt = -Infinity
  return (watch) => {
    const lost = watch.lost()
    if (lost !== count) noticedAt = now()
    count = lost
    return noticedAt
  }
}
