import { hostname } from 'node:os'
import {
  firstValueFrom,
  fromEvent,
  interval,
  map,
  merge,
  ReplaySubject,
  Subject,
  Subscription,
  switchMap,
  tap,
  timer,
} from 'rxjs'
import { monotonicFactory } from 'ulid'
import { detectors, meaningOf } from '../detectors/index.ts'
import { entriesToldAfter } from '../detectors/exec-into-container.ts'
import { profileStates } from '../detectors/unexpected-root-process/profile.ts'
import { unexpectedRootProcess } from '../detectors/unexpected-root-process.ts'
import { createMetrics } from '../exporters/prometheus/index.ts'
import { receiversOf } from '../exporters/receivers.ts'
import { serveWeb } from '../exporters/web/server.ts'
import { renderStatusPage } from '../exporters/web/status-page.ts'
import { watchWebConfig } from '../exporters/web/watched-web-config.ts'
import { currentConfig } from './config/current.ts'
import { type Config, detectorConfig, detectorConfigFor } from './config/schema.ts'
import { stateDirectory } from './config/state-directory.ts'
import { deliveries } from './deliveries.ts'
import { createDockerClient } from './docker/client.ts'
import { endpointOf } from './docker/endpoint.ts'
import { dockerOptions } from './docker/options.ts'
import { execLedger } from './exec-ledger.ts'
import { createFindings } from './findings.ts'
import { onHangup } from './hangup.ts'
import { createLog, defaultFormat, flushLog } from './log.ts'
import { type Observation, sourceNames } from './model/observation.ts'
import { detect, observedOf } from './pipeline.ts'
import { createPolicy } from './policy/policy.ts'
import { createThrottle, maxFolds } from './policy/throttle.ts'
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
const pruneEveryMs = 60_000
const foldedEveryMs = 1_000
const excessEveryMs = 60_000
const expiredEveryMs = 15_000

/**
 * The composition root: sources to detectors to findings to store and exporters. Ends the process when told to stop;
 * `load` reads the configuration anew.
 */
export async function runDaemon(config: Config, load: () => Config): Promise<void> {
  const stopSignal = firstValueFrom(
    merge(...['SIGTERM', 'SIGINT'].map((name) => fromEvent(process, name).pipe(map(() => name)))),
  )
  const running = new Subscription()
  // Who is told to reload while still starting does so when started.
  const hangups$ = new ReplaySubject<unknown>(1)
  running.add(fromEvent(process, 'SIGHUP').subscribe(hangups$))
  const now = Date.now
  const manager = serviceManager(process.env)
  const everyMs = beatEveryMs(manager)
  const heartbeat = createHeartbeat(everyMs)
  const startedAt = now()
  const host = config.host_name ?? hostname()
  const current = currentConfig(config)
  const configOf = (detector: string) => detectorConfig(current.now(), detector)
  const receivers = current.derived(receiversOf)
  const receiverNames = () => receivers().map(({ name }) => name)
  const directory = stateDirectory(config.state_directory, process.env)

  // Before the log, which hides what it calls secret from the first line on.
  const policy = createPolicy({ config: config.policy, now, onNotice: (line) => log.warn(line) })
  const log = createLog({
    level: config.log.level,
    format: config.log.format ?? defaultFormat(process.env),
    host,
    redact: (text) => policy.redact.text(text),
    onLost: (count) => metrics.logLinesLost(count),
  })
  const lock = lockIfWritable(directory)
  let storesMovedAside = 0
  const store = openStore({
    directory,
    onModeChange: (mode, reason) =>
      mode === 'file'
        ? log.info(reason)
        : log.warn(`findings are kept in memory only and would not survive a crash: ${reason}`),
    onMovedAside: (reason) => {
      log.error(`a new findings store is begun: ${reason}`)
      storesMovedAside += 1
    },
    onLost: (count) => metrics.storeLost(count),
  })
  const client = createDockerClient(endpointOf({ ...dockerOptions(config.docker), env: process.env }))
  const execs = execLedger(memoryOf(store, 'execs'), (entry) => sources.leftOf(entry))
  const sources = createSources({
    config: current,
    client,
    cursor: storedCursor(store, now),
    execOfSession: execs.execOfSession,
    pulseOf: heartbeat.pulseOf,
    now,
  })
  const { containers } = sources
  const health = sourceHealth(sourceNames)
  const findings = createFindings({
    host,
    now,
    newId: monotonicFactory(),
    configOf: (detector, container) => detectorConfigFor(current.now(), detector, container),
    allowedBy: policy.allowedBy,
    redact: policy.redact,
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
    get receivers() {
      return receiverNames()
    },
    allowEntries: policy.entries,
    notificationQueueLength: store.pending,
    storeMode: store.mode,
    storesMovedAside: () => storesMovedAside,
    maxSeries: config.web.max_series,
    profiles: () => profileStates(memoryOf(store, unexpectedRootProcess.name)),
    now,
  })
  const throttle = createThrottle({
    settings: () => current.now().policy.throttle,
    now,
    told: store.eventsSince(now() - config.policy.throttle.fold, maxFolds),
  })
  const publisher = createPublisher({ findings, throttle, store, metrics, log, receivers, now })
  metrics.configurationLoaded(true, now())

  const web = await serveWeb({
    addresses: config.web.listen_addresses,
    config: watchWebConfig({
      file: config.web.config_file,
      onReload: (successful, message) => log.log(successful ? 'info' : 'error', message),
      now,
    }),
    expose: metrics.expose,
    isReady: health.isReady,
    statusPage: async (withEvidence) => {
      const counters = await metrics.counters()
      const page = { ...status(), counters, meaningOf, runbookBase: config.runbook_base_url }
      return renderStatusPage(page, withEvidence)
    },
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
    receivers: receiverNames().map((name) => ({ name, waiting: store.pending(name) })),
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
  const observations$ = new Subject<Observation>()
  const deliveries$ = deliveries({
    receivers$: current.all$.pipe(map(receivers)),
    store,
    wake$: publisher.published$,
    now,
    onOutcome: metrics.notified,
    onHealth: (reachable, reason) => (reachable ? log.info(reason) : log.warn(reason)),
  })
  running.add(deliveries$.subscribe())
  running.add(observations$.subscribe(metrics.observed))
  running.add(observations$.subscribe(execs.observe))
  running.add(
    health.follow(observations$).subscribe(({ level, line }) => {
      // What the welcome is about to say need not be said twice.
      if (isWelcomed || level !== 'info') log.log(level, line)
      if (health.isReady()) welcome()
    }),
  )
  const detected$ = detect({
    detectors,
    observed: {
      ...observedOf(observations$),
      execs,
      entriesToldAfter: entriesToldAfter((name, container) =>
        detectorConfigFor(current.now(), name, container),
      ),
    },
    config: current,
    memoryOf: (detector) => memoryOf(store, detector),
    now,
    onFailure: publisher.detectorFailed,
    onReplaced: findings.doubt,
  })
  running.add(detected$.subscribe(publisher.publish))
  running.add(timer(welcomeAfterMs).subscribe(welcome))
  // After a start and after a reload, which may start detectors anew.
  const unconfirmed$ = current.all$.pipe(switchMap(() => timer(confirmAfterMs)))
  running.add(unconfirmed$.subscribe(publisher.resolveUnconfirmed))
  running.add(interval(foldedEveryMs).subscribe(publisher.tellFolded))
  running.add(interval(excessEveryMs).subscribe(publisher.tellExcess))
  running.add(
    timer(0, expiredEveryMs).subscribe(() => {
      if (policy.hasExpired()) publisher.reconsider()
    }),
  )
  running.add(interval(restoreEveryMs).subscribe(store.tryToRestore))
  running.add(
    timer(0, pruneEveryMs).subscribe(() => {
      const { retention, max_size } = current.now().findings
      store.prune({ maxAgeMs: retention, maxBytes: max_size }, now())
    }),
  )
  running.add(
    hangups$.subscribe(() => {
      manager.tell(reloading())
      onHangup({ current, load, policy, publisher, metrics, log, now })
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
    const lines = welcomeLines({ ...status(), directory, url, receivers: receiverNames() })
    for (const line of lines) log.info(line)
    manager.tell({ READY: '1', STATUS: currentStatusLine() })
  }

  log.info(`stopping on ${await stopSignal}`)
  manager.tell({ STOPPING: '1', STATUS: 'stopping' })
  running.unsubscribe()
  publisher.tellFolded()
  web.close()
  store.close()
  lock?.release()
  await flushLog(log)
  process.exit(0)
}
