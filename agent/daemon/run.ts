import { firstValueFrom, fromEvent, map, merge, ReplaySubject, Subject, Subscription, tap, timer } from 'rxjs'
import { entriesToldAfter } from '../../detectors/exec-into-container/index.ts'
import { detectors, meaningOf } from '../../detectors/index.ts'
import { serveWeb } from '../../exporters/web/server.ts'
import { renderStatusPage } from '../../exporters/web/status-page.ts'
import { watchWebConfig } from '../../exporters/web/watched-web-config.ts'
import type { Config } from '../config/schema.ts'
import { deliveries } from './notifier.ts'
import { onHangup } from './reload.ts'
import { flushLog } from '../log/log.ts'
import type { Observation } from '../model/observation.ts'
import { createParts, type Parts } from './components.ts'
import { detect, observedOf } from './pipeline.ts'
import { createHeartbeat } from '../service/heartbeat.ts'
import { reloading, serviceManager } from '../service/manager.ts'
import { beatEveryMs, report } from '../service/report.ts'
import { daemonStatus } from './status.ts'
import { memoryOf } from '../store/memory.ts'
import { upkeep } from './maintenance.ts'
import { version } from '../lib/version.ts'
import { welcomeLines } from './startup-summary.ts'

// Sources that attach at all do so within this time; a host without an engine is told of it then.
const welcomeAfterMs = 5_000

/**
 * The composition root: sources to detectors to findings to store and exporters. Ends the process when told to stop;
 * `load` reads the configuration anew. Only here is anything subscribed to.
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
  const parts = createParts(config, { pulseOf: heartbeat.pulseOf, now })
  const { current, log, store, execs, sources, health, findings, metrics, publisher } = parts
  const status = daemonStatus({ ...parts, now })
  const web = await serve(config, { parts, status, now })
  const url = web.urls[0] ?? ''
  log.info(`tidewatch ${version} starts`, { url })

  let isWelcomed = false
  function welcome(): void {
    if (isWelcomed) return
    isWelcomed = true
    const { directory, receiverNames } = parts
    const lines = welcomeLines({ ...status.full(), directory, url, receivers: receiverNames() })
    for (const line of lines) log.info(line)
    manager.tell({ READY: '1', STATUS: status.line() })
  }

  // Exporters, then detectors, then sources: whoever listens is there before somebody speaks.
  const observations$ = new Subject<Observation>()
  const deliveries$ = deliveries({
    receivers$: current.all$.pipe(map(parts.receivers)),
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
      entriesToldAfter: entriesToldAfter(parts.configFor),
    },
    config: current,
    memoryOf: (detector) => memoryOf(store, detector),
    now,
    onFailure: publisher.detectorFailed,
    onReplaced: findings.doubt,
  })
  running.add(detected$.subscribe(publisher.publish))
  running.add(publisher.published$.subscribe(status.countPublished))
  running.add(timer(welcomeAfterMs).subscribe(welcome))
  running.add(upkeep({ ...parts, now }).subscribe())
  running.add(
    hangups$.subscribe(() => {
      manager.tell(reloading())
      onHangup({ ...parts, load, now })
      manager.tell({ READY: '1' })
    }),
  )
  const hanging$ = report({ manager, heartbeat, everyMs, statusLine: status.line, now })
  running.add(hanging$.subscribe((change) => observations$.next(change)))
  const seen$ = sources.observe().pipe(
    tap((seen) => {
      if (seen.kind === 'source-status') heartbeat.heard(seen)
    }),
  )
  running.add(seen$.subscribe(observations$))

  log.info(`stopping on ${await stopSignal}`)
  manager.tell({ STOPPING: '1', STATUS: 'stopping' })
  running.unsubscribe()
  publisher.tellFolded()
  web.close()
  parts.close()
  await flushLog(log)
  process.exit(0)
}

type Served = { parts: Parts; status: ReturnType<typeof daemonStatus>; now: () => number }

/** The metrics, the health endpoints and the page; throws where the port is taken. */
function serve({ web, runbook_base_url }: Config, { parts, status, now }: Served) {
  const { log, metrics, health } = parts
  return serveWeb({
    addresses: web.listen_addresses,
    config: watchWebConfig({
      file: web.config_file,
      onReload: (successful, message) => log.log(successful ? 'info' : 'error', message),
      now,
    }),
    expose: metrics.expose,
    isReady: health.isReady,
    statusPage: async (withEvidence) => {
      const counters = await metrics.counters()
      const page = { ...status.full(), counters, meaningOf, runbookBase: runbook_base_url }
      return renderStatusPage(page, withEvidence)
    },
  })
}
