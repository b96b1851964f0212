import { filter, first, merge, mergeMap, type Observable, share, Subject, switchMap, tap } from 'rxjs'
import { breakoutFiles } from '../sources/breakout-files/source.ts'
import type { CurrentConfig } from '../config/current.ts'
import type { Config } from '../config/schema.ts'
import { apiSocketsOf } from '../sources/docker/api-requests/api-sockets.ts'
import type { DockerSources } from './docker-sources.ts'
import { hostUsers } from '../linux/host-users.ts'
import { superviseSource } from './supervise-source.ts'
import { containerMasks } from '../sources/container-masks/source.ts'
import type { Observation, SourceName } from '../model/observation.ts'
import type { Pulse, Source } from '../model/source.ts'
import { containerOfPid } from '../sources/processes/attribution/container-of-pid.ts'
import { processes } from '../sources/processes/source.ts'
import type { WritableProcessTable } from '../sources/processes/table/table.ts'
import { resources } from '../sources/resources/resources.ts'
import { correlatedStreams } from './correlated-streams.ts'
import { hostRuntimeFiles } from './runtime-files.ts'
import { kernel, type SourceContext } from './source-context.ts'
import type { ExecOfSession } from '../model/exec-view.ts'

export type SourcesOptions = {
  config: CurrentConfig
  docker: DockerSources
  /** Filled by the process source. */
  table: WritableProcessTable
  /** Returns the exec that a process belongs to. */
  execOfSession?: ExecOfSession
  /** Where a source reports that its loop is running. */
  pulseOf?: (source: SourceName) => Pulse
  /** Epoch milliseconds. */
  now: () => number
}

/** All sources in one stream, each restarted when it fails. */
export type Sources = { observe(): Observable<Observation> }

const noPulse = () => () => undefined

/** Connects all sources to those of the engine, which know the containers. */
export function createSources(options: SourcesOptions): Sources {
  const { config, docker, table, execOfSession = () => null, pulseOf = noPulse, now } = options
  const { client, containers, events$, inventory$, unsure$ } = docker
  const supervised = (source: Source) => superviseSource(source, now)
  /** A source that restarts when its own configuration section changes. */
  const configured = <Key extends keyof Config['sources']>(
    key: Key,
    sourceOf: (section: Config['sources'][Key]) => Source,
  ) => config.part$(({ sources }) => sources[key]).pipe(switchMap((section) => supervised(sourceOf(section))))

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
    table,
    apiSockets,
    execOfSession,
    onForkBurst: (id) => forkBursts$.next(id),
    pulse: pulseOf('processes'),
    now,
    ...kernel,
  })
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
    docker.onNamed({ execId, container: seen.container, time: entry.startedAt })
  }
  // The other sources need containers, so they start when the inventory is known or known to be unavailable.
  const others$ = inventory$.pipe(
    first((seen) => seen.kind === 'source-status'),
    mergeMap(() => merge(...others)),
    tap(nameExec),
    share(),
  )
  const correlated$ = merge(...correlatedStreams(context, { inventory$, others$ }))
  return {
    // The inventory subscribes before the first event arrives.
    observe: () => merge(others$, inventory$, events$, correlated$),
  }
}

/** The engine has reloaded its configuration: it may name other runtimes now. */
function isReload(seen: Observation): boolean {
  return seen.kind === 'docker-event' && seen.type === 'daemon' && seen.action === 'reload'
}
