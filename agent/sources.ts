import { filter, first, map, merge, mergeMap, type Observable, share, switchMap } from 'rxjs'
import type { CurrentConfig } from './config/current.ts'
import type { Config } from './config/schema.ts'
import { apiSocketsOf } from './docker/api-sockets.ts'
import { execCallers } from './docker/callers.ts'
import type { DockerClient } from './docker/client.ts'
import { type Cursor, dockerEvents } from './docker/event-stream.ts'
import { containerInventory } from './docker/inventory.ts'
import { messageOf } from './errors.ts'
import type { ContainerView } from './model/container.ts'
import type { ExecCaller, Observation } from './model/observation.ts'
import type { Source } from './model/source.ts'
import { containerOfPid } from './processes/container-of-pid.ts'
import { processes } from './processes/source.ts'
import { resources } from './resources/resources.ts'
import { findRuntimeFiles } from './runtime/paths.ts'
import { runtimeFiles } from './runtime/source.ts'
import { supervise } from './streams.ts'

export type SourcesOptions = {
  config: CurrentConfig
  client: DockerClient
  cursor: Cursor
  /** Epoch milliseconds. */
  now: () => number
}

/** All sources in one stream, each started anew when it fails; and the containers they know of. */
export type Sources = {
  containers: ContainerView
  observe(): Observable<Observation>
}

// Where the kernel shows itself; tests of single sources put fixtures there.
const kernel = { procRoot: '/proc', cgroupRoot: '/sys/fs/cgroup' }

/** Connects the sources with each other: what is known of containers rests on the engine's events. */
export function createSources({ config, client, cursor, now }: SourcesOptions): Sources {
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
    now,
  })
  const containers = inventory.view
  const apiSockets = apiSocketsOf(client.endpoint)
  const processSource = processes({
    get mode() {
      return config.now().sources.processes.mode
    },
    get intervalMs() {
      return config.now().sources.processes.interval
    },
    containers,
    apiSockets,
    now,
    ...kernel,
  })
  const others = [
    keepUpWith('processes', () => processSource),
    keepUpWith('resources', ({ interval }) =>
      resources({ containers, statsOnce: client.statsOnce, intervalMs: interval, now, ...kernel }),
    ),
    keepUpWith('runtime_files', ({ paths, interval }) =>
      runtimeFiles({
        find: () =>
          findRuntimeFiles({ procRoot: kernel.procRoot, engineInfo: client.info, extraPaths: paths }),
        refind$: unsure$,
        intervalMs: interval,
        containerOfPid: containerOfPid({
          table: processSource.table,
          containers,
          procRoot: kernel.procRoot,
          now,
        }),
        procRoot: kernel.procRoot,
        now,
      }),
    ),
  ]
  const inventory$ = keepUp(inventory).pipe(share())
  // What they see is of containers: so when those that run are known, or nobody can tell which do.
  const others$ = inventory$.pipe(
    first((seen) => seen.kind === 'source-status'),
    mergeMap(() => merge(...others)),
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
