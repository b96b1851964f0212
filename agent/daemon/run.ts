import {
  firstValueFrom,
  fromEvent,
  map,
  merge,
  ReplaySubject,
  Subject,
  Subscription,
  takeUntil,
  tap,
  timer,
} from 'rxjs'
import { detectors, meaningOf, techniqueOf } from '../../detectors/index.ts'
import { runbookUrls } from '../../exporters/runbooks.ts'
import { runbookPages } from '../../exporters/web/runbook-pages.ts'
import { serveWeb } from '../../exporters/web/server.ts'
import { renderStatusPage } from '../../exporters/web/status-page.ts'
import { watchWebConfig } from '../../exporters/web/watched-web-config.ts'
import type { Config } from '../config/schema.ts'
import { nameContainers } from './name-containers.ts'
import { notifier } from './notifier.ts'
import { reloadConfiguration } from './reload.ts'
import { flushLog } from '../log/log.ts'
import type { Observation } from '../model/observation.ts'
import { createComponents, type Components } from './components.ts'
import { holdSuperseded } from './hold-superseded.ts'
import { detect, observationsByKind } from './pipeline.ts'
import { publicUrl } from './public-url.ts'
import { createHeartbeat } from '../service/heartbeat.ts'
import { reloading, serviceManager } from '../service/manager.ts'
import { beatEveryMs, report } from '../service/report.ts'
import { daemonStatus } from './status.ts'
import { memoryOf } from '../store/memory.ts'
import { maintenance } from './maintenance.ts'
import { startupSummary } from './startup-summary.ts'

// Sources attach within this time. On a host without an engine the summary is written without them.
const maxStartupMs = 5_000

/**
 * The composition root: sources to detectors to findings to store and exporters. Exits the process on SIGTERM or
 * SIGINT; `load` reads the configuration again. This is the only place that subscribes to streams.
 */
export async function runDaemon(config: Config, load: () => Config): Promise<void> {
  const stopSignal = firstValueFrom(
    merge(...['SIGTERM', 'SIGINT'].map((name) => fromEvent(process, name).pipe(map(() => name)))),
  )
  // Closed in reverse order when the daemon stops or fails to start.
  using resources = new DisposableStack()
  // A SIGHUP during start-up takes effect once the daemon has started.
  const hangups$ = new ReplaySubject<unknown>(1)
  resources.adopt(fromEvent(process, 'SIGHUP').subscribe(hangups$), unsubscribe)
  const now = Date.now
  const manager = serviceManager(process.env)
  const everyMs = beatEveryMs(manager)
  const heartbeat = createHeartbeat(everyMs)
  const components = resources.use(createComponents(config, { pulseOf: heartbeat.pulseOf, now }))
  const { current, log, startLog, store, execs, sources, health, findings, metrics, publisher } = components
  const status = daemonStatus({ ...components, now })
  const web = resources.adopt(await serve(config, { components, status, now }), ({ close }) => close())
  const url = web.urls[0] ?? ''
  resources.defer(publisher.finish)
  const running = resources.adopt(new Subscription(), unsubscribe)

  let isStarted = false
  function finishStartup(): void {
    if (isStarted) return
    isStarted = true
    const { directory, receiverNames } = components
    startLog(startupSummary({ ...status.full(), directory, url, receivers: receiverNames() }))
    manager.notify({ READY: '1', STATUS: status.line() })
  }

  // Exporters first, then detectors, then sources: each subscriber is ready before its source emits.
  const observations$ = new Subject<Observation>()
  const notifier$ = notifier({
    receivers$: current.all$.pipe(map(components.receivers)),
    describe: { techniqueOf, runbookUrl: alertRunbookUrl(components, url) },
    store,
    wake$: publisher.published$,
    now,
    onOutcome: metrics.notified,
    onHealth: (receiver, isReachable, message) =>
      log.log(isReachable ? 'info' : 'warn', message, { receiver }),
    onClockSkew: metrics.clockSkew,
    onClockAgreement: (receiver, agrees, message) => log.log(agrees ? 'info' : 'warn', message, { receiver }),
  })
  components.queueForReceivers()
  running.add(notifier$.subscribe())
  running.add(observations$.subscribe(metrics.observed))
  running.add(observations$.subscribe(execs.observe))
  running.add(
    observations$.subscribe((seen) => {
      if (seen.kind === 'container' && seen.action === 'renamed') publisher.renamed(seen.container)
    }),
  )
  running.add(
    health.follow(observations$).subscribe((entry) => {
      // The start-up summary lists the state of every source.
      if (isStarted) log.log(entry)
      if (health.isReady()) finishStartup()
    }),
  )
  const detected$ = detect({
    detectors,
    observed: { ...observationsByKind(observations$), execs },
    config: current,
    memoryOf: (detector) => memoryOf(store, detector),
    now,
    onFailure: publisher.detectorFailed,
    onReplaced: findings.markUnconfirmed,
  })
  const stopping$ = new Subject<void>()
  const named = nameContainers({ containers: components.containers, now })
  running.add(
    detected$
      .pipe(takeUntil(stopping$), named, holdSuperseded(components.awaitedBy))
      .subscribe(publisher.publish),
  )
  running.add(publisher.published$.subscribe(status.countPublished))
  running.add(timer(maxStartupMs).subscribe(finishStartup))
  running.add(maintenance({ ...components, now }).subscribe())
  running.add(
    hangups$.subscribe(() => {
      manager.notify(reloading())
      reloadConfiguration({ ...components, load, now })
      manager.notify({ READY: '1' })
    }),
  )
  const hanging$ = report({ manager, heartbeat, everyMs, statusLine: status.line, now })
  running.add(hanging$.subscribe((change) => observations$.next(change)))
  const seen$ = sources.observe().pipe(
    tap((seen) => {
      if (seen.kind === 'source-status') heartbeat.record(seen)
    }),
  )
  running.add(seen$.subscribe(observations$))

  const signal = await stopSignal
  if (!isStarted) startLog([])
  log.info(`stopping on ${signal}`, { signal })
  manager.notify({ STOPPING: '1', STATUS: 'stopping' })
  // Publishes the detections that are still held, which unsubscribing would lose.
  stopping$.next()
  resources.dispose()
  await flushLog(log)
  process.exit(0)
}

/** Alerts link to the configured runbooks, which a reload may change, or to those that the daemon serves at `url`. */
function alertRunbookUrl({ current, host }: Components, url: string): (alertName: string) => string {
  return (alertName) => {
    const { runbook_base_url: configured, web } = current.now()
    return runbookUrls({ configured, daemon: publicUrl(url, host, web.external_url) })(alertName)
  }
}

function unsubscribe(subscription: Subscription): void {
  subscription.unsubscribe()
}

type Served = { components: Components; status: ReturnType<typeof daemonStatus>; now: () => number }

/** Serves the metrics, the health endpoints and the status page; throws if the port is in use. */
function serve({ web }: Config, { components, status, now }: Served) {
  const { log, metrics, health, current } = components
  return serveWeb({
    addresses: web.listen_addresses,
    config: watchWebConfig({
      file: web.config_file,
      onReload: (successful, message) =>
        log.log(successful ? 'info' : 'error', message, { file: web.config_file }),
      now,
    }),
    expose: metrics.expose,
    isReady: health.isReady,
    runbooks: runbookPages(),
    statusPage: async (withEvidence) => {
      const counters = await metrics.counters()
      // Links of the page itself need no address of the daemon.
      const runbookUrl = runbookUrls({ configured: current.now().runbook_base_url, daemon: '' })
      const page = { ...status.full(), counters, meaningOf, techniqueOf, runbookUrl }
      return renderStatusPage(page, withEvidence)
    },
  })
}
