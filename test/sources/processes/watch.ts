import type { ExecutionContext } from 'ava'
import { filter, merge, share } from 'rxjs'
import { createDockerClient } from '../../../agent/sources/docker/client/client.ts'
import { endpointOf } from '../../../agent/sources/docker/client/endpoint.ts'
import { dockerEvents } from '../../../agent/sources/docker/events/event-stream.ts'
import { containerInventory } from '../../../agent/sources/docker/inventory/inventory.ts'
import type {
  EventsLost,
  Observation,
  ProcessObservation,
  SourceStatus,
} from '../../../agent/model/observation.ts'
import { processes, type ProcessesOptions } from '../../../agent/sources/processes/source.ts'
import { until } from '../../support/until.ts'

/** Monitors the processes and containers of this host, wired as in the daemon. */
export async function watchProcesses(t: ExecutionContext, options: Partial<ProcessesOptions> = {}) {
  const client = createDockerClient(endpointOf({ env: process.env }))
  const events$ = dockerEvents({ client, cursor: { load: () => null, save: () => {} }, now: Date.now })
    .observe()
    .pipe(share())
  const inventory = containerInventory({
    client,
    events$: events$.pipe(filter((seen) => seen.kind === 'docker-event')),
    reconcile$: events$.pipe(filter((seen) => seen.kind === 'source-status')),
    now: Date.now,
  })
  const source = processes({ mode: 'auto', containers: inventory.view, now: Date.now, ...options })
  const seen: Observation[] = []
  let failure: unknown
  const subscription = merge(inventory.observe(), events$, source.observe()).subscribe({
    next: (observation) => seen.push(observation),
    error: (error: unknown) => (failure = error),
  })
  t.teardown(() => subscription.unsubscribe())

  const statuses = () =>
    seen.filter((one): one is SourceStatus => one.kind === 'source-status' && one.source === 'processes')
  await until(() => statuses().length > 0 || failure !== undefined)
  if (failure !== undefined) throw failure as Error

  return {
    table: source.table,
    /** Reads what the kernel has reported so far; returns true if more is known to be pending. */
    isBehind: () => {
      source.catchUp()
      return source.apiWatch()?.catchUp() === false
    },
    containers: inventory.view,
    statuses,
    stop: () => subscription.unsubscribe(),
    /** The process observations of a container so far. */
    of: (container: string) =>
      seen.filter(
        (one): one is ProcessObservation => one.kind === 'process' && one.container.name === container,
      ),
    losses: () =>
      seen.filter((one): one is EventsLost => one.kind === 'events-lost' && one.source === 'processes'),
  }
}
