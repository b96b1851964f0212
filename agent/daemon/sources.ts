import { filter, first, map, merge, mergeMap, type Observable, share, Subject, switchMap, tap } from 'rxjs'
import { breakoutFiles } from '../sources/breakout-files/source.ts'
import type { CurrentConfig } from '../config/current.ts'
import type { Config } from '../config/schema.ts'
import { apiSocketsOf } from '../sources/docker/api-requests/api-sockets.ts'
import type { DockerClient } from '../sources/docker/client/client.ts'
import { dockerEvents } from '../sources/docker/events/event-stream.ts'
import { containerInventory } from '../sources/docker/inventory/inventory.ts'
import type { LeftOf } from '../exec-ledger/ledger.ts'
import { hostUsers } from '../linux/host-users.ts'
import { superviseSource } from './supervise-source.ts'
import { containerMasks } from '../sources/container-masks/source.ts'
import type { ContainerView } from '../model/container.ts'
import type { Observation, SourceName } from '../model/observation.ts'
import type { Pulse, Source } from '../model/source.ts'
import { containerOfPid } from '../sources/processes/attribution/container-of-pid.ts'
import { processesOfEntry } from '../sources/processes/attribution/session-attribution.ts'
import { processes } from '../sources/processes/source.ts'
import { resources } from '../sources/resources/resources.ts'
import { correlatedStreams } from './correlated-streams.ts'
import { hostRuntimeFiles } from './runtime-files.ts'
import { kernel, type SourceContext } from './source-context.ts'
import type { Cursor } from '../model/event-cursor.ts'
import type { ExecOfSession } from '../model/exec-view.ts'

export type SourcesOptions = {
  config: CurrentConfig
  client: DockerClient
  cursor: Cursor
  /** Returns the exec that a process belongs to. */
  execOfSession?: ExecOfSession
  /** Where a source reports that its loop is running. */
  pulseOf?: (source: SourceName) => Pulse
  /** Epoch milliseconds. */
  now: () => number
}

/** All sources in one stream, each restarted when it fails, and the containers they know. */
export type Sources = {
  containers: ContainerView
  /** The processes still running that entered a container with this one. */
  leftOf: LeftOf
  /** Whether a process named this exec as its origin and the engine has not yet confirmed that the exec exists. */
  isExecBeingInspected: (execId: string) => boolean
  observe(): Observable<Observation>
}

const noPulse = () => () => undefined

/** Connects the sources: the container inventory depends on the engine's events. */
export function createSources(options: SourcesOptions): Sources {
  const { config, client, cursor, execOfSession = () => null, pulseOf = noPulse, now } = options
  const supervised = (source: Source) => superviseSource(source, now)
  /** A source that restarts when its own configuration section changes. */
  const configured = <Key extends keyof Config['sources']>(
    key: Key,
    sourceOf: (section: Config['sources'][Key]) => Source,
  ) => config.part$(({ sources }) => sources[key]).pipe(switchMap((section) => supervised(sourceOf(section))))

  const events$ = supervised(dockerEvents({ client, cursor, now })).pipe(share())
  // After a start or a loss of events, the inventory asks the engine for the current state.
  const unsure$ = events$.pipe(
    filter((seen) => seen.kind === 'events-lost' || (seen.kind === 'source-status' && seen.up)),
    map(() => undefined),
  )
  const inventory = containerInventory({
    client,
    events$: events$.pipe(filter((seen) => seen.kind === 'docker-event')),
    reconcile$: unsure$,
    pulse: pulseOf('containers'),
    now,
  })
  const containers = inventory.view
  const apiSockets = apiSocketsOf(client.endpoint)
  // A container that forks is sampled at once: it may hit its limit before the next sample.
  const forkBursts$ = new Subject<string>()
  const processSource = processes({
    get mode() {
      return config.now().sources.processes.mode
    },
    get intervalMs() {
      return config.now().sources.processes.interval
    },
    containers,
    apiSockets,
    execOfSession,
    onForkBurst: (id) => forkBursts$.next(id),
    pulse: pulseOf('processes'),
    now,
    ...kernel,
  })
  const { table } = processSource
  const context: SourceContext = {
    client,
    containers,
    processes: processSource,
    containerOfPid: containerOfPid({ table, containers, procRoot: kernel.procRoot }),
    users: hostUsers(),
    apiSockets,
    unsure$,
    now,
  }
  /** Reads the kernel's pending process events; true if more are known to be pending. */
  const isBehind = () => {
    processSource.catchUp()
    return processSource.apiWatch()?.catchUp() === false
  }
  const others = [
    configured('processes', () => processSource),
    configured('resources', ({ interval, near_interval, near_ratio }) =>
      resources({
        containers,
        statsOnce: client.statsOnce,
        intervalMs: interval,
        nearIntervalMs: near_interval,
        nearRatio: near_ratio,
        forkBursts$,
        pulse: pulseOf('resources'),
        now,
        ...kernel,
      }),
    ),
    configured('runtime_files', (section) =>
      hostRuntimeFiles(section, context, {
        refind$: merge(unsure$, events$.pipe(filter(isReload))),
        pulse: pulseOf('runtime-files'),
      }),
    ),
    configured('container_masks', ({ interval }) =>
      containerMasks({
        containers,
        engineInfo: client.info,
        unsure$,
        intervalMs: interval,
        now,
        ...kernel,
      }),
    ),
    supervised(breakoutFiles({ table, isBehind, containers, now, ...kernel })),
  ]
  /** Asks the inventory for the exec of a process that entered a container: the engine may not report it. */
  function nameExec(seen: Observation): void {
    if (seen.kind !== 'process' || seen.origin.via !== 'entered' || seen.container.details === null) return
    const { execId, entry } = seen.origin
    if (execId === '' || entry.pid !== seen.process.pid) return
    inventory.onNamed({ execId, container: seen.container, time: entry.startedAt })
  }
  const inventory$ = supervised(inventory).pipe(share())
  // The other sources need containers, so they start when the inventory is known or known to be unavailable.
  const others$ = inventory$.pipe(
    first((seen) => seen.kind === 'source-status'),
    mergeMap(() => merge(...others)),
    tap(nameExec),
    share(),
  )
  const correlated$ = merge(...correlatedStreams(context, { inventory$, others$ }))
  return {
    containers,
    leftOf: (entry) => processesOfEntry(table, entry),
    isExecBeingInspected: inventory.isBeingInspected,
    // The inventory subscribes before the first event arrives.
    observe: () => merge(others$, inventory$, events$, correlated$),
  }
}

/** The engine has reloaded its configuration: it may name other runtimes now. */
function isReload(seen: Observation): boolean {
  return seen.kind === 'docker-event' && seen.type === 'daemon' && seen.action === 'reload'
}
