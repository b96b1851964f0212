import { filter, first, map, merge, mergeMap, type Observable, share } from 'rxjs'
import type { Config } from './config/schema.ts'
import { apiSocketsOf } from './docker/api-sockets.ts'
import { execCallers } from './docker/callers.ts'
import type { DockerClient } from './docker/client.ts'
import { type Cursor, dockerEvents } from './docker/event-stream.ts'
import { containerInventory } from './docker/inventory.ts'
import { messageOf } from './errors.ts'
import type { ContainerView } from './model/container.ts'
import type { ExecCaller, Observation, SourceName } from './model/observation.ts'
import type { Pulse, Source } from './model/source.ts'
import { containerOfPid } from './processes/container-of-pid.ts'
import { processes } from './processes/source.ts'
import { resources } from './resources/resources.ts'
import { findRuntimeFiles } from './runtime/paths.ts'
import { runtimeFiles } from './runtime/source.ts'
import { supervise } from './streams.ts'

export type SourcesOptions = {
  config: Config
  client: DockerClient
  cursor: Cursor
  /** Where a source says that it goes round. */
  pulseOf?: (source: SourceName) => Pulse
  /** Epoch milliseconds. */
  now: () => number
}

/** All sources in one stream, each started anew when it fails; and the containers they know of. */
export type Sources = {
  containers: ContainerView
  observe(): Observable<Observation>
}

const unheard = () => () => undefined

// Where the kernel shows itself; tests of single sources put fixtures there.
const kernel = { procRoot: '/proc', cgroupRoot: '/sys/fs/cgroup' }

/** Connects the sources with each other: what is known of containers rests on the engine's events. */
export function createSources({ config, client, cursor, pulseOf = unheard, now }: SourcesOptions): Sources {
  const { resources: ofResources, processes: ofProcesses, runtime_files: ofFiles } = config.sources
  const keepUp = (source: Source) => keptUp(source, now)

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
  const processSource = processes({
    mode: ofProcesses.mode,
    intervalMs: ofProcesses.interval,
    containers,
    apiSockets,
    pulse: pulseOf('processes'),
    now,
    ...kernel,
  })
  const others = [
    processSource,
    resources({
      containers,
      statsOnce: client.statsOnce,
      intervalMs: ofResources.interval,
      pulse: pulseOf('resources'),
      now,
      ...kernel,
    }),
    runtimeFiles({
      find: () =>
        findRuntimeFiles({ procRoot: kernel.procRoot, engineInfo: client.info, extraPaths: ofFiles.paths }),
      refind$: unsure$,
      intervalMs: ofFiles.interval,
      containerOfPid: containerOfPid({
        table: processSource.table,
        containers,
        procRoot: kernel.procRoot,
        now,
      }),
      pulse: pulseOf('runtime-files'),
      procRoot: kernel.procRoot,
      now,
    }),
  ]
  const inventory$ = keepUp(inventory).pipe(share())
  // What they see is of containers: so when those that run are known, or nobody can tell which do.
  const others$ = inventory$.pipe(
    first((seen) => seen.kind === 'source-status'),
    mergeMap(() => merge(...others.map(keepUp))),
    share(),
  )
  const callers$ = execCallers({
    execs$: inventory$.pipe(filter((seen) => seen.kind === 'exec')),
    requests$: others$.pipe(filter((seen) => seen.kind === 'api-request')),
    apiWatch: processSource.apiWatch,
    local: apiSockets.length > 0,
    table: processSource.table,
    containers,
    procRoot: kernel.procRoot,
    now,
  })
  return {
    containers,
    // The inventory listens before the first event comes.
    observe: () => merge(others$, inventory$, events$, callersKeptUp(callers$, now)),
  }
}

/** A source that says that it is down when it fails, and tries again. */
function keptUp({ name, observe }: Source, now: () => number): Observable<Observation> {
  return supervise<Observation>(observe(), (error) => ({
    kind: 'source-status',
    time: now(),
    source: name,
    up: false,
    mode: '',
    best: false,
    reason: messageOf(error),
  }))
}

/** Callers that the next exec has again when those of one could not be told. */
function callersKeptUp(callers$: Observable<ExecCaller>, now: () => number): Observable<Observation> {
  return supervise<Observation>(callers$, () => ({
    kind: 'events-lost',
    time: now(),
    source: 'containers',
    reason: 'caller-failed',
    count: 1,
  }))
}
