import { filter, merge, type Observable } from 'rxjs'
import { execCallers } from '../sources/docker/api-requests/callers.ts'
import { describeCaller } from '../sources/docker/api-requests/calling-process.ts'
import { enginePorts } from '../sources/docker/api-requests/engine-ports.ts'
import { engineVersions } from '../sources/docker/inventory/engine-versions.ts'
import { tcpClients } from '../sources/docker/api-requests/tcp-clients.ts'
import { superviseStream } from './supervise-source.ts'
import { bootClock } from '../linux/boot-clock.ts'
import type { Observation } from '../model/observation.ts'
import { binaryOpens } from '../sources/runtime-files/watch/binary-opens.ts'
import { kernel, type SourceContext } from './source-context.ts'

/** Observations that need several sources: `inventory$` has the execs, `others$` the host's processes and files. */
export function correlatedStreams(
  context: SourceContext,
  { inventory$, others$ }: Record<'inventory$' | 'others$', Observable<Observation>>,
): Observable<Observation>[] {
  const { client, containers, containerOfPid, unsure$, now } = context
  const { table } = context.processes
  const { procRoot } = kernel
  const files$ = others$.pipe(filter((seen) => seen.kind === 'runtime-file'))
  const replaced$ = files$.pipe(filter(({ change }) => change !== 'found' && change !== 'verified'))
  const tcp = tcpClientsOf(context, merge(unsure$, others$.pipe(filter(isProcessesUp))))
  const callers$ = execCallers({
    execs$: inventory$.pipe(filter((seen) => seen.kind === 'exec')),
    requests$: others$.pipe(filter((seen) => seen.kind === 'api-request')),
    apiWatch: context.processes.apiWatch,
    tcp,
    local: context.apiSockets.length > 0,
    table,
    containers,
    procRoot,
    now,
  })
  const opens$ = binaryOpens({ files$, table, containers, containerOfPid, procRoot, now })
  const versions$ = engineVersions({ client, changed$: merge(unsure$, replaced$), now })
  return [
    superviseStream(tcp.observe(), 'processes', 'tcp-clients-failed', now),
    superviseStream(callers$, 'containers', 'caller-failed', now),
    superviseStream(opens$, 'runtime-files', 'opens-failed', now),
    superviseStream(versions$, 'containers', 'versions-failed', now),
  ]
}

function tcpClientsOf(context: SourceContext, refind$: Observable<unknown>) {
  const { client, processes, containerOfPid, users, now } = context
  const { table, catchUp } = processes
  const { procRoot } = kernel
  return tcpClients({
    // After catching up, the process table contains a restarted engine too, but only in a mode that reports every
    // process.
    listening: () => (catchUp() ? enginePorts({ endpoint: client.endpoint, table, procRoot }) : null),
    recheck$: refind$,
    describe(transfer) {
      if (transfer.pid === process.pid) return null
      catchUp()
      return {
        process: describeCaller(transfer, { table, users, procRoot }),
        container: containerOfPid(transfer.pid),
      }
    },
    procRoot,
    clock: bootClock(),
    now,
  })
}

function isProcessesUp(seen: Observation): boolean {
  return seen.kind === 'source-status' && seen.source === 'processes' && seen.up
}
