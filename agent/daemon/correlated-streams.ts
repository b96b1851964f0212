import { filter, merge, type Observable } from 'rxjs'
import { execCallers } from '../sources/docker/api-requests/callers.ts'
import { describeCaller } from '../sources/docker/api-requests/calling-process.ts'
import { enginePorts } from '../sources/docker/api-requests/engine-ports.ts'
import { engineVersions } from '../sources/docker/inventory/engine-versions.ts'
import { tcpClients } from '../sources/docker/api-requests/tcp-clients.ts'
import { besideKeptUp } from './supervise-source.ts'
import { bootClock } from '../linux/boot-clock.ts'
import type { Observation } from '../model/observation.ts'
import { runtimeFileOpens } from '../sources/runtime-files/watch/binary-opens.ts'
import { kernel, type Surroundings } from './source-context.ts'

/** What can be told only where several sources are put together; `inventory$` tells of execs, `others$` of the host. */
export function joined(
  surroundings: Surroundings,
  { inventory$, others$ }: Record<'inventory$' | 'others$', Observable<Observation>>,
): Observable<Observation>[] {
  const { client, containers, containerOfPid, unsure$, now } = surroundings
  const { table } = surroundings.processes
  const { procRoot } = kernel
  const files$ = others$.pipe(filter((seen) => seen.kind === 'runtime-file'))
  const replaced$ = files$.pipe(filter(({ change }) => change !== 'found' && change !== 'verified'))
  const tcp = tcpClientsOf(surroundings, merge(unsure$, others$.pipe(filter(isProcessesUp))))
  const callers$ = execCallers({
    execs$: inventory$.pipe(filter((seen) => seen.kind === 'exec')),
    requests$: others$.pipe(filter((seen) => seen.kind === 'api-request')),
    apiWatch: surroundings.processes.apiWatch,
    tcp,
    local: surroundings.apiSockets.length > 0,
    table,
    containers,
    procRoot,
    now,
  })
  const opens$ = runtimeFileOpens({ files$, table, containers, containerOfPid, procRoot, now })
  const versions$ = engineVersions({ client, changed$: merge(unsure$, replaced$), now })
  return [
    besideKeptUp(tcp.observe(), 'processes', 'tcp-clients-failed', now),
    besideKeptUp(callers$, 'containers', 'caller-failed', now),
    besideKeptUp(opens$, 'runtime-files', 'opens-failed', now),
    besideKeptUp(versions$, 'containers', 'versions-failed', now),
  ]
}

function tcpClientsOf(surroundings: Surroundings, refind$: Observable<unknown>) {
  const { client, processes, containerOfPid, users, now } = surroundings
  const { table, catchUp } = processes
  const { procRoot } = kernel
  return tcpClients({
    // Of an engine that is started anew the kernel has told, in the mode in which it tells of every process.
    listening: () => (catchUp() ? enginePorts({ endpoint: client.endpoint, table, procRoot }) : null),
    refind$,
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
