import { filter, map, type Observable, share } from 'rxjs'
import { bootClock } from '../linux/boot-clock.ts'
import type { ContainerLookup } from '../model/container.ts'
import type { Cursor } from '../model/event-cursor.ts'
import type { Observation } from '../model/observation.ts'
import type { Pulse } from '../model/source.ts'
import type { DockerClient } from '../sources/docker/client/client.ts'
import { dockerEvents } from '../sources/docker/events/event-stream.ts'
import { containerInventory, type Inventory } from '../sources/docker/inventory/inventory.ts'
import { startOfMember } from '../sources/processes/attribution/member-start.ts'
import { kernel } from './source-context.ts'
import { superviseSource } from './supervise-source.ts'

export type DockerSourcesOptions = {
  client: DockerClient
  cursor: Cursor
  pulse?: Pulse
  /** Epoch milliseconds. */
  now: () => number
}

/** The sources that ask the engine. They come first: the exec ledger and all other sources use what they know. */
export type DockerSources = Pick<Inventory, 'onNamed' | 'isBeingInspected'> & {
  client: DockerClient
  containers: ContainerLookup
  events$: Observable<Observation>
  inventory$: Observable<Observation>
  /** Emits when events may be missing: the engine's event stream started, or lost events. */
  unsure$: Observable<void>
}

/** Connects the engine's events to the inventory of containers and execs. */
export function dockerSources({
  client,
  cursor,
  pulse = () => undefined,
  now,
}: DockerSourcesOptions): DockerSources {
  const events$ = superviseSource(dockerEvents({ client, cursor, now }), now).pipe(share())
  // After a start or a loss of events, the inventory asks the engine for the current state.
  const unsure$ = events$.pipe(
    filter((seen) => seen.kind === 'events-lost' || (seen.kind === 'source-status' && seen.up)),
    map(() => undefined),
  )
  const inventory = containerInventory({
    client,
    events$: events$.pipe(filter((seen) => seen.kind === 'docker-event')),
    reconcile$: unsure$,
    startOf: startOfMember({ ...kernel, clock: bootClock() }),
    pulse,
    now,
  })
  return {
    client,
    containers: inventory.view,
    onNamed: inventory.onNamed,
    isBeingInspected: inventory.isBeingInspected,
    events$,
    inventory$: superviseSource(inventory, now).pipe(share()),
    unsure$,
  }
}
