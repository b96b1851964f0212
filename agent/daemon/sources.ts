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
import { keptUp } from './supervise-source.ts'
import { containerMasks } from '../sources/container-masks/source.ts'
import type { ContainerView } from '../model/container.ts'
import type { Observation, SourceName } from '../model/observation.ts'
import type { Pulse, Source } from '../model/source.ts'
import { containerOfPid } from '../sources/processes/attribution/container-of-pid.ts'
import { leftOf } from '../sources/processes/attribution/session-attribution.ts'
import { processes } from '../sources/processes/source.ts'
import { resources } from '../sources/resources/resources.ts'
import { joined } from './correlated-streams.ts'
import { hostRuntimeFiles } from './runtime-files.ts'
import { kernel, type Surroundings } from './source-context.ts'
import type { Cursor } from '../model/event-cursor.ts'
import type { ExecOfSession } from '../model/exec-view.ts'

export type SourcesOptions = {
  config: CurrentConfig
  client: DockerClient
  cursor: Cursor
  /** Which exec a process that is found belongs to. */
  execOfSession?: ExecOfSession
  /** Where a source says that it goes round. */
  pulseOf?: (source: SourceName) => Pulse
  /** Epoch milliseconds. */
  now: () => number
}

/** All sources in one stream, each started anew when it fails; and the containers they know of. */
export type Sources = {
  containers: ContainerView
  /** The processes now living of those that came into a container with this one. */
  leftOf: LeftOf
  /** Whether a process named this exec as what brought it, and it is still being found out whether there is such an exec. */
  isExecAskedFor: (execId: string) => boolean
  observe(): Observable<Observation>
}

const unheard = () => () => undefined

/** Connects the sources with each other: what is known of containers rests on the engine's events. */
export function createSources(options: SourcesOptions): Sources {
  const { config, client, cursor, execOfSession = () => null, pulseOf = unheard, now } = options
  const keepUp = (source: Source) => keptUp(source, now)
  /** A source that is started anew when its own section changes, and only then. */
  const keepUpWith = <Key extends keyof Config['sources']>(
    key: Key,
    sourceOf: (section: Config['sources'][Key]) => Source,
  ) => config.part$(({ sources }) => sources[key]).pipe(switchMap((section) => keepUp(sourceOf(section))))

  const events$ = keepUp(dockerEvents({ client, cursor, now })).pipe(share())
  // After a beginning and after a loss, what the events did not tell is asked for.
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
  // A container that forks is looked at before the next sample: it may be at its limit by then.
  const grown$ = new Subject<string>()
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
    onGrowth: (id) => grown$.next(id),
    pulse: pulseOf('processes'),
    now,
    ...kernel,
  })
  const { table } = processSource
  const surroundings: Surroundings = {
    client,
    containers,
    processes: processSource,
    containerOfPid: containerOfPid({ table, containers, procRoot: kernel.procRoot }),
    users: hostUsers(),
    apiSockets,
    unsure$,
    now,
  }
  /** Takes in what the kernel has told of processes; true where it is known that there is more. */
  const isBehind = () => {
    processSource.catchUp()
    return processSource.apiWatch()?.catchUp() === false
  }
  const others = [
    keepUpWith('processes', () => processSource),
    keepUpWith('resources', ({ interval, near_interval, near_ratio }) =>
      resources({
        containers,
        statsOnce: client.statsOnce,
        intervalMs: interval,
        nearIntervalMs: near_interval,
        nearRatio: near_ratio,
        grown$,
        pulse: pulseOf('resources'),
        now,
        ...kernel,
      }),
    ),
    keepUpWith('runtime_files', (section) =>
      hostRuntimeFiles(section, surroundings, {
        refind$: merge(unsure$, events$.pipe(filter(isReload))),
        pulse: pulseOf('runtime-files'),
      }),
    ),
    keepUpWith('container_masks', ({ interval }) =>
      containerMasks({
        containers,
        engineInfo: client.info,
        unsure$,
        intervalMs: interval,
        now,
        ...kernel,
      }),
    ),
    keepUp(breakoutFiles({ table, isBehind, containers, now, ...kernel })),
  ]
  /** Who brought a process in is asked for where the engine does not tell by itself. */
  function nameExec(seen: Observation): void {
    if (seen.kind !== 'process' || seen.origin.via !== 'entered' || seen.container.details === null) return
    const { execId, entry } = seen.origin
    if (execId === '' || entry.pid !== seen.process.pid) return
    inventory.onNamed({ execId, container: seen.container, time: entry.startedAt })
  }
  const inventory$ = keepUp(inventory).pipe(share())
  // What they see is of containers: so when those that run are known, or nobody can tell which do.
  const others$ = inventory$.pipe(
    first((seen) => seen.kind === 'source-status'),
    mergeMap(() => merge(...others)),
    tap(nameExec),
    share(),
  )
  const joined$ = merge(...joined(surroundings, { inventory$, others$ }))
  return {
    containers,
    leftOf: (entry) => leftOf(table, entry),
    isExecAskedFor: inventory.isAskedFor,
    // The inventory listens before the first event comes.
    observe: () => merge(others$, inventory$, events$, joined$),
  }
}

/** The engine has read its configuration anew: it may name other runtimes now. */
function isReload(seen: Observation): boolean {
  return seen.kind === 'docker-event' && seen.type === 'daemon' && seen.action === 'reload'
}
