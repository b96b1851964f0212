import { type Observable, Subject } from 'rxjs'
import type { Logger } from 'winston'
import { monitorIntegrity } from '../../detectors/monitor-integrity/index.ts'
import { logFinding } from '../../exporters/log.ts'
import type { Metrics } from '../../exporters/prometheus/index.ts'
import { accepts, type Receiver } from '../../exporters/receiver.ts'
import { messageOf } from '../lib/errors.ts'
import type { Findings } from '../findings/findings.ts'
import type { Publication } from '../findings/publication.ts'
import type { Container } from '../model/container.ts'
import type { Finding } from '../model/finding.ts'
import type { Repeated, Repeats } from '../policy/repeats.ts'
import { throttledDetection } from '../policy/throttled-detection.ts'
import type { Throttle } from '../policy/throttle.ts'
import type { Store } from '../store/store.ts'
import type { Queue } from '../store/tables.ts'
import type { Detected } from './detected.ts'

export type PublisherOptions = {
  findings: Findings
  repeats: Repeats
  throttle: Throttle
  store: Pick<Store, 'save' | 'find' | 'findByEventKey'>
  metrics: Pick<Metrics, 'published' | 'suppressed' | 'detectorFailed'>
  log: Logger
  /** Called for each finding: a reload may change the receivers. */
  receivers: () => readonly (Queue & Pick<Receiver, 'minSeverity' | 'sendResolved'>)[]
  now: () => number
}

// In a flood, only the first repeats are looked up in the store.
const maxCheckedRepeats = 100

/** The last step of every finding. */
export type Publisher = {
  publish(detected: Detected): void
  /** Ends conditions of an earlier run that this run has not confirmed, and applies the current policy to the rest. */
  resolveUnconfirmed(): void
  /** Applies a changed policy to the firing conditions. */
  reconsider(): void
  /** Moves the conditions of a container to its current name. */
  renamed(container: Container): void
  /** Stores how often findings were repeated since the last call. */
  flushRepeats(): void
  /** Stores the open conditions again, in a store that replaced an unusable one. */
  storeAgain(): void
  /** Reports how many findings the budgets suppressed since the last call, if any. */
  reportThrottled(): void
  /** Call when the daemon stops: reports the repeats and throttled acts that were not reported yet. */
  finish(): void
  detectorFailed(name: string, error: unknown): void
  /** Each stored finding and what changed about it. */
  published$: Observable<Publication>
}

/** Stores a finding, then counts and reports it: every counted finding survives a crash and is delivered. */
export function createPublisher(options: PublisherOptions): Publisher {
  const { findings, repeats, throttle, store, metrics, log, receivers, now } = options
  const published$ = new Subject<Publication>()

  /** False if an event with this key is already stored: it was read a second time. */
  function save(publication: Publication): boolean {
    const { finding, eventKey } = publication
    const notified = isNotified(publication)
      ? receivers().filter((receiver) => accepts(receiver, publication))
      : []
    const isNew = store.save(finding, eventKey, notified, now())
    if (!isNew) return false
    metrics.published(publication)
    logFinding(log, publication)
    published$.next(publication)
    return true
  }

  /** Only events can arrive by the thousand. Conditions cannot, and their ends must not be throttled. */
  function admit(publication: Publication): void {
    const { change, finding, act } = publication
    if (change === 'new' && act?.isLateUpdate) return admitLateUpdate(publication)
    if (change === 'new' && finding.kind === 'event') return admitEvent(publication)
    save(publication)
    if (act !== undefined) repeats.identify(finding, act.fingerprint)
  }

  function admitEvent(publication: Publication): void {
    const { finding, eventKey, act } = publication
    if (isReadAgain(finding, eventKey)) return
    if (repeats.fold(finding, eventKey)) return suppressed(finding, 'folded')
    if (!throttle.admit(finding, act ?? unknownAct)) return suppressed(finding, 'throttled')
    const own = repeats.open(finding)
    if (!save({ ...publication, finding: own })) repeats.forget(own)
  }

  /** An event was taken for a repeat while its actor was unknown. Another actor's act is a finding of its own. */
  function admitLateUpdate(publication: Publication): void {
    if (repeats.separate(publication.finding, publication.eventKey) === 'other-act') admitEvent(publication)
  }

  function suppressed(finding: Finding, reason: 'folded' | 'throttled'): void {
    metrics.suppressed(finding, finding.state === 'suppressed' ? 'allowed' : reason)
  }

  /** Repeats are not stored, so this asks the store for the event. */
  function isReadAgain(finding: Finding, eventKey: string | null): boolean {
    if (eventKey === null || repeats.repetitions(finding) > maxCheckedRepeats) return false
    return store.findByEventKey(finding.rule, eventKey) !== null
  }

  function repeated({ id, count, lastSeen, isDue }: Repeated): void {
    const known = store.find(id)
    if (known === null) return
    const last_seen = lastSeen > known.last_seen ? lastSeen : known.last_seen
    const finding = { ...known, count: known.count + count, last_seen }
    // Receivers were not notified of a finding that is allowed.
    const isNews = isDue && finding.state === 'firing'
    save({ change: isNews ? 'repeated' : 'updated', finding, eventKey: null })
  }

  function reportThrottled(): void {
    const throttled = throttle.takeThrottled()
    if (throttled === null) return
    findings.from(monitorIntegrity, throttledDetection(throttled, now())).forEach(save)
  }

  function detectorFailed(name: string, error: unknown): void {
    metrics.detectorFailed(name)
    log.error(`error in detector ${name}, which keeps running: ${messageOf(error)}`, {
      detector: name,
      stack: error instanceof Error ? error.stack : undefined,
    })
  }

  return {
    published$,
    detectorFailed,
    publish({ detector, detection }) {
      try {
        findings.from(detector, detection).forEach(admit)
      } catch (error) {
        detectorFailed(detector.name, error)
      }
    },
    resolveUnconfirmed() {
      findings.resolveUnconfirmed().forEach(save)
      // Conditions of an earlier run now have complete container data, so container-specific settings can be applied.
      findings.reconsider().forEach(save)
    },
    reconsider: () => findings.reconsider().forEach(save),
    renamed: (container) => findings.renamed(container).forEach(save),
    flushRepeats: () => repeats.take().forEach(repeated),
    storeAgain() {
      for (const finding of findings.open()) store.save(finding, null, [], now())
    },
    reportThrottled,
    finish() {
      repeats.take(true).forEach(repeated)
      reportThrottled()
    },
  }
}

const unknownAct = { program: '', actor: '' }

/** Whether receivers are notified: not of updates, nor of findings that were suppressed from the start. */
function isNotified({ change, finding }: Publication): boolean {
  return change !== 'updated' && !(change === 'new' && finding.state === 'suppressed')
}
