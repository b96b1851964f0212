import { hostname } from 'node:os'
import { firstValueFrom, fromEvent, interval, map, merge, Subject, Subscription, tap, timer } from 'rxjs'
import { monotonicFactory } from 'ulid'
import { detectors } from '../detectors/index.ts'
import { profileStates } from '../detectors/unexpected-root-process/profile.ts'
import { unexpectedRootProcess } from '../detectors/unexpected-root-process.ts'
import { deliver } from '../exporters/alertmanager/deliver.ts'
import { receiversOf } from '../exporters/alertmanager/receivers.ts'
import { createMetrics } from '../exporters/prometheus/index.ts'
import { serveWeb } from '../exporters/web/server.ts'
import { renderStatusPage } from '../exporters/web/status-page.ts'
import { type Config, detectorConfig } from './config/schema.ts'
import { stateDirectory } from './config/state-directory.ts'
import { createDockerClient } from './docker/client.ts'
import { endpointOf } from './docker/endpoint.ts'
import { createFindings } from './findings.ts'
import { createLog, flushLog } from './log.ts'
import { type Observation, sourceNames } from './model/observation.ts'
import { detect, observedOf } from './pipeline.ts'
import { createPublisher } from './publisher.ts'
import { createHeartbeat } from './service/heartbeat.ts'
import { reloading, serviceManager } from './service/manager.ts'
import { beatEveryMs, report } from './service/report.ts'
import { statusLine } from './service/status-line.ts'
import { sourceHealth } from './source-health.ts'
import { createSources } from './sources.ts'
import { storedCursor } from './store/cursor.ts'
import { memoryOf } from './store/memory.ts'
import { lockIfWritable } from './store/lock.ts'
import { openStore } from './store/store.ts'
import { version } from './version.ts'
import { welcomeLines } from './welcome.ts'

// Sources that attach at all do so within this time; a host without an engine is told of it then.
const welcomeAfterMs = 5_000
// What an earlier run left firing is over when no detector has said otherwise after this time.
const confirmAfterMs = 120_000
const restoreEveryMs = 10_000
const pruneEveryMs = 3_600_000

/** The composition root: sources to detectors to findings to store and exporters. Ends the process when told to stop. */
export async function runDaemon(config: Config): Promise<void> {
  const stopSignal = firstValueFrom(
    merge(...['SIGTERM', 'SIGINT'].map((name) => fromEvent(process, name).pipe(map(() => name)))),
  )
  const now = Date.now
  const manager = serviceManager(process.env)
  const everyMs = beatEveryMs(manager)
  const heartbeat = createHeartbeat(everyMs)
  const startedAt = now()
  const host = config.host_name ?? hostname()
  const configOf = (detector: string) => detectorConfig(config, detector)
  const receivers = receiversOf(config)
  const receiverNames = receivers.map(({ name }) => name)
  const directory = stateDirectory(config.state_directory, process.env)

  const log = createLog({
    level: config.log.level,
    format: config.log.format ?? (process.stdout.isTTY ? 'text' : 'json'),
    onLost: (count) => metrics.logLinesLost(count),
  })
  const lock = lockIfWritable(directory)
  const store = openStore({
    directory,
    onModeChange: (mode, reason) =>
      mode === 'file'
        ? log.info(reason)
        : log.warn(`findings are kept in memory only and would not survive a crash: ${reason}`),
    onLost: (count) => metrics.storeLost(count),
  })
  const client = createDockerClient(endpointOf({ ...dockerOptions(config), env: process.env }))
  const sources = createSources({
    config,
    client,
    cursor: storedCursor(store, now),
    pulseOf: heartbeat.pulseOf,
    now,
  })
  const { containers } = sources
  const health = sourceHealth(sourceNames)
  const findings = createFindings({
    host,
    now,
    newId: monotonicFactory(),
    configOf,
    firing: store.firing(),
    findByAct: store.findByAct,
  })
  const metrics = createMetrics({
    version,
    sources: sourceNames,
    statuses: health.statuses,
    detectors,
    configOf,
    firing: findings.firing,
    containers,
    receivers: receiverNames,
    notificationQueueLength: store.pending,
    storeMode: store.mode,
    profiles: () => profileStates(memoryOf(store, unexpectedRootProcess.name)),
    now,
  })
  const publisher = createPublisher({ findings, store, metrics, log, receivers, now })
  metrics.configurationLoaded(true, now())

  const web = await serveWeb({
    addresses: config.web.listen_addresses,
    expose: metrics.expose,
    isReady: health.isReady,
    statusPage: (withFindings) => renderStatusPage(status(), withFindings),
  })
  const url = web.urls[0] ?? ''
  log.info(`tidewatch ${version} starts`, { url })

  const status = () => ({
    host,
    version,
    startedAt,
    now: now(),
    sources: health.all(),
    containersRunning: containers.running().length,
    receivers: receivers.map(({ name }) => ({ name, waiting: store.pending(name) })),
    storeMode: store.mode(),
    firing: findings.firing(),
    latest: store.latest(50),
  })

  let findingsCount = 0
  const currentStatusLine = () =>
    statusLine({
      containersRunning: containers.running().length,
      sources: health.all(),
      findings: findingsCount,
      firing: findings.firing().length,
    })

  let isWelcomed = false
  // Exporters, then detectors, then sources: whoever listens is there before somebody speaks.
  const running = new Subscription()
  const observations$ = new Subject<Observation>()
  for (const receiver of receivers) {
    const delivery$ = deliver({
      receiver,
      store,
      wake$: publisher.published$,
      now,
      onOutcome: (outcome, count) => metrics.notified(receiver.name, outcome, count),
      onHealth: (reachable, reason) => (reachable ? log.info(reason) : log.warn(reason)),
    })
    running.add(delivery$.subscribe())
  }
  running.add(observations$.subscribe(metrics.observed))
  running.add(
    health.follow(observations$).subscribe(({ level, line }) => {
      // What the welcome is about to say need not be said twice.
      if (isWelcomed || level !== 'info') log.log(level, line)
      if (health.isReady()) welcome()
    }),
  )
  const detected$ = detect(
    detectors,
    observedOf(observations$),
    config,
    (detector) => memoryOf(store, detector),
    publisher.detectorFailed,
  )
  running.add(detected$.subscribe(publisher.publish))
  running.add(timer(welcomeAfterMs).subscribe(welcome))
  running.add(timer(confirmAfterMs).subscribe(publisher.resolveUnconfirmed))
  running.add(interval(restoreEveryMs).subscribe(store.tryToRestore))
  running.add(
    timer(0, pruneEveryMs).subscribe(() => {
      const { retention, max_size } = config.findings
      store.prune({ maxAgeMs: retention, maxBytes: max_size }, now())
    }),
  )
  running.add(
    fromEvent(process, 'SIGHUP').subscribe(() => {
      manager.tell(reloading())
      log.warn('SIGHUP: the configuration is read at start only; restart tidewatch to change it')
      manager.tell({ READY: '1' })
    }),
  )
  running.add(publisher.published$.subscribe(() => (findingsCount += 1)))
  running.add(
    report({ manager, heartbeat, everyMs, statusLine: currentStatusLine, now }).subscribe((change) =>
      observations$.next(change),
    ),
  )
  running.add(
    sources
      .observe()
      .pipe(
        tap((seen) => {
          if (seen.kind === 'source-status') heartbeat.heard(seen)
        }),
      )
      .subscribe(observations$),
  )

  function welcome(): void {
    if (isWelcomed) return
    isWelcomed = true
    const lines = welcomeLines({ ...status(), directory, url, receivers: receiverNames })
    for (const line of lines) log.info(line)
    manager.tell({ READY: '1', STATUS: currentStatusLine() })
  }

  log.info(`stopping on ${await stopSignal}`)
  manager.tell({ STOPPING: '1', STATUS: 'stopping' })
  running.unsubscribe()
  web.close()
  store.close()
  lock?.release()
  await flushLog(log)
  process.exit(0)
}

function dockerOptions({ docker: { host, tls } }: Config) {
  if (tls === undefined) return { host }
  return { host, tls: { caFile: tls.ca_file, certFile: tls.cert_file, keyFile: tls.key_file } }
}
