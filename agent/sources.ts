import { filter, first, map, merge, mergeMap, type Observable, share, Subject, switchMap } from 'rxjs'
import type { LeftOf } from './exec-ledger.ts'
import { breakoutFiles } from './breakout-files/source.ts'
import type { CurrentConfig } from './config/current.ts'
import type { Config } from './config/schema.ts'
import { apiSocketsOf } from './docker/api-sockets.ts'
import { execCallers } from './docker/callers.ts'
import { describeCaller } from './docker/calling-process.ts'
import type { DockerClient } from './docker/client.ts'
import { type Cursor, dockerEvents } from './docker/event-stream.ts'
import { hostUsers } from './host-users.ts'
import { enginePorts } from './docker/engine-ports.ts'
import { engineVersions } from './docker/engine-versions.ts'
import { containerInventory } from './docker/inventory.ts'
import { tcpClients } from './docker/tcp-clients.ts'
import { bootClock } from './kernel/clock.ts'
import { besideKeptUp, keptUp } from './kept-up.ts'
import { containerMasks } from './masks/source.ts'
import type { ContainerView } from './model/container.ts'
import type { Observation, SourceName } from './model/observation.ts'
import type { Pulse, Source } from './model/source.ts'
import { containerOfPid } from './processes/container-of-pid.ts'
import { type ExecOfSession, leftOf } from './processes/left-behind.ts'
import { processes } from './processes/source.ts'
import { resources } from './resources/resources.ts'
import { configurationPlaces, dropInDirectories } from './runtime/configuration-files.ts'
import { hardening } from './runtime/hardening.ts'
import { askPackages, hostPackages } from './runtime/packages/packages.ts'
import { runtimeFileOpens } from './runtime/opens.ts'
import { findRuntimeFiles } from './runtime/paths.ts'
import { runtimeFiles } from './runtime/source.ts'
import { identifyWriter } from './runtime/writer.ts'

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
  observe(): Observable<Observation>
}

const unheard = () => () => undefined

// Where the kernel shows itself; tests of single sources put fixtures there.
const kernel = { procRoot: '/proc', cgroupRoot: '/sys/fs/cgroup', sysRoot: '/sys' }

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
  const users = hostUsers()
  const containerOf = containerOfPid({
    table: processSource.table,
    containers,
    procRoot: kernel.procRoot,
  })
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
    keepUpWith('runtime_files', ({ paths, interval, accepted }) =>
      runtimeFiles({
        find: () =>
          findRuntimeFiles({
            procRoot: kernel.procRoot,
            engineInfo: client.info,
            extraPaths: paths,
            configuration: {
              ...configurationPlaces,
              sockets: [...configurationPlaces.sockets, ...apiSockets],
            },
          }),
        refind$: merge(unsure$, events$.pipe(filter(isReload))),
        intervalMs: interval,
        directories: dropInDirectories(configurationPlaces),
        identify: identifyWriter({
          table: processSource.table,
          catchUp: processSource.catchUp,
          containerOfPid: containerOf,
          procRoot: kernel.procRoot,
          users,
        }),
        askPackages: askPackages(hostPackages()),
        accepted,
        pulse: pulseOf('runtime-files'),
        harden: hardening({ procRoot: kernel.procRoot, engineInfo: client.info }),
        now,
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
    keepUp(breakoutFiles({ table: processSource.table, isBehind, containers, now, ...kernel })),
  ]
  const inventory$ = keepUp(inventory).pipe(share())
  // What they see is of containers: so when those that run are known, or nobody can tell which do.
  const others$ = inventory$.pipe(
    first((seen) => seen.kind === 'source-status'),
    mergeMap(() => merge(...others)),
    share(),
  )
  const clock = bootClock()
  const tcp = tcpClients({
    // Of an engine that is started anew the kernel has told, in the mode in which it tells of every process.
    listening: () =>
      processSource.catchUp()
        ? enginePorts({ endpoint: client.endpoint, table: processSource.table, procRoot: kernel.procRoot })
        : null,
    refind$: merge(unsure$, others$.pipe(filter(isProcessesUp))),
    describe(transfer) {
      if (transfer.pid === process.pid) return null
      processSource.catchUp()
      const { table } = processSource
      return {
        process: describeCaller(transfer, { table, users, procRoot: kernel.procRoot }),
        container: containerOf(transfer.pid),
      }
    },
    procRoot: kernel.procRoot,
    clock,
    now,
  })
  const callers$ = execCallers({
    execs$: inventory$.pipe(filter((seen) => seen.kind === 'exec')),
    requests$: others$.pipe(filter((seen) => seen.kind === 'api-request')),
    apiWatch: processSource.apiWatch,
    tcp,
    local: apiSockets.length > 0,
    table: processSource.table,
    containers,
    procRoot: kernel.procRoot,
    now,
  })
  const files$ = others$.pipe(filter((seen) => seen.kind === 'runtime-file'))
  const opens$ = runtimeFileOpens({
    files$,
    table: processSource.table,
    containers,
    containerOfPid: containerOf,
    procRoot: kernel.procRoot,
    now,
  })
  const replaced$ = files$.pipe(filter(({ change }) => change !== 'found' && change !== 'verified'))
  const versions$ = engineVersions({ client, changed$: merge(unsure$, replaced$), now })
  return {
    containers,
    leftOf: (entry) => leftOf(processSource.table, entry),
    // The inventory listens before the first event comes.
    observe: () =>
      merge(
        others$,
        inventory$,
        events$,
        besideKeptUp(tcp.observe(), 'processes', 'tcp-clients-failed', now),
        besideKeptUp(callers$, 'containers', 'caller-failed', now),
        besideKeptUp(opens$, 'runtime-files', 'opens-failed', now),
        besideKeptUp(versions$, 'containers', 'versions-failed', now),
      ),
  }
}

/** The engine has read its configuration anew: it may name other runtimes now. */
function isReload(seen: Observation): boolean {
  return seen.kind === 'docker-event' && seen.type === 'daemon' && seen.action === 'reload'
}

function isProcessesUp(seen: Observation): boolean {
  return seen.kind === 'source-status' && seen.source === 'processes' && seen.up
}
