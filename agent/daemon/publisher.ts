import { type Observable, Subject } from 'rxjs'
import type { Logger } from 'winston'
import { monitorIntegrity } from '../../detectors/monitor-integrity/index.ts'
import { logFinding } from '../../exporters/log.ts'
import type { Metrics } from '../../exporters/prometheus/index.ts'
import { messageOf } from '../lib/errors.ts'
import type { Findings } from '../findings/findings.ts'
import type { Publication } from '../findings/publication.ts'
import { type Finding, isAtLeast, type Severity } from '../model/finding.ts'
import { throttledDetection } from '../policy/throttled-detection.ts'
import type { Repeats, Throttle } from '../policy/throttle.ts'
import type { Store } from '../store/store.ts'
import type { Queue } from '../store/tables.ts'
import type { Detected } from './detected.ts'

export type PublisherOptions = {
  findings: Findings
  throttle: Throttle
  store: Pick<Store, 'save' | 'find' | 'findByEventKey'>
  metrics: Pick<Metrics, 'published' | 'suppressed' | 'detectorFailed'>
  log: Logger
  /** Called for each finding: a reload may change the receivers. */
  receivers: () => readonly (Queue & { minSeverity: Severity })[]
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
  /** Stores how often findings were repeated since the last call. */
  flushRepeats(): void
  /** Reports how many findings the budgets suppressed since the last call, if any. */
  reportThrottled(): void
  detectorFailed(name: string, error: unknown): void
  /** Each stored finding and what changed about it. */
  published$: Observable<Publication>
}

/** Stores a finding, then counts and reports it: every counted finding survives a crash and is delivered. */
export function createPublisher(options: PublisherOptions): Publisher {
  const { findings, throttle, store, metrics, log, receivers, now } = options
  const published$ = new Subject<Publication>()

  /** False if an event with this key is already stored: it was read a second time. */
  function save(publication: Publication): boolean {
    const { finding, eventKey } = publication
    const notified = isNotified(publication) ? receivers().filter(accepts(finding)) : []
    const isNew = store.save(finding, eventKey, notified, now())
    if (!isNew) return false
    metrics.published(publication)
    logFinding(log, publication)
    published$.next(publication)
    return true
  }

  /** Only events can arrive by the thousand. Conditions cannot, and their ends must not be throttled. */
  function admit(publication: Publication): void {
    const { change, finding, eventKey } = publication
    if (change !== 'new' || finding.kind === 'condition') return void save(publication)
    if (isReadAgain(finding, eventKey)) return
    const admission = throttle.admit(finding)
    if (admission === 'reported') {
      if (!save(publication)) throttle.forget(finding)
      return
    }
    if (finding.state === 'suppressed') metrics.suppressed(finding, 'allowed')
    else metrics.suppressed(finding, admission === 'folded' ? 'folded' : 'throttled')
  }

  /** Repeats are not stored, so this asks the store for the event. */
  function isReadAgain(finding: Finding, eventKey: string | null): boolean {
    if (eventKey === null || throttle.repetitions(finding) > maxCheckedRepeats) return false
    return store.findByEventKey(finding.rule, eventKey) !== null
  }

  function repeat({ id, count, lastSeen, summaries }: Repeats): void {
    const known = store.find(id)
    if (known === null) return
    const last_seen = lastSeen > known.last_seen ? lastSeen : known.last_seen
    const others = summaries.filter((summary) => summary !== known.summary)
    const evidence = others.length === 0 ? known.evidence : { ...known.evidence, repeated: others }
    save({
      change: 'updated',
      finding: { ...known, count: known.count + count, last_seen, evidence },
      eventKey: null,
    })
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
        const publication = findings.from(detector, detection)
        if (publication !== null) admit(publication)
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
    flushRepeats: () => throttle.takeRepeats().forEach(repeat),
    reportThrottled() {
      const throttled = throttle.takeThrottled()
      if (throttled === null) return
      const publication = findings.from(monitorIntegrity, throttledDetection(throttled, now()))
      if (publication !== null) save(publication)
    },
  }
}

/** Whether receivers are notified: not of updates, nor of findings that were suppressed from the start. */
function isNotified({ change, finding }: Publication): boolean {
  return change !== 'updated' && !(change === 'new' && finding.state === 'suppressed')
}

function accepts({ severity }: Finding) {
  return ({ minSeverity }: { minSeverity: Severity }) => isAtLeast(severity, minSeverity)
}
