import { type Observable, Subject } from 'rxjs'
import type { Logger } from 'winston'
import { monitorIntegrity } from '../../detectors/monitor-integrity/index.ts'
import { logFinding } from '../../exporters/log.ts'
import type { Metrics } from '../../exporters/prometheus/index.ts'
import { messageOf } from '../lib/errors.ts'
import type { Findings } from '../findings/findings.ts'
import type { Publication } from '../findings/publication.ts'
import { type Finding, isAtLeast, type Severity } from '../model/finding.ts'
import { excessDetection } from '../policy/excess.ts'
import type { Folded, Throttle } from '../policy/throttle.ts'
import type { Store } from '../store/store.ts'
import type { Queue } from '../store/tables.ts'
import type { Detected } from './detected.ts'

export type PublisherOptions = {
  findings: Findings
  throttle: Throttle
  store: Pick<Store, 'save' | 'find' | 'findByAct'>
  metrics: Pick<Metrics, 'published' | 'suppressed' | 'detectorFailed'>
  log: Logger
  /** Asked for each finding: a reload may change them. */
  receivers: () => readonly (Queue & { minSeverity: Severity })[]
  now: () => number
}

/** The last step of every finding. */
export type Publisher = {
  publish(detected: Detected): void
  /** Ends what an earlier run left firing and this one has not seen; what it has seen is judged as it is configured now. */
  resolveUnconfirmed(): void
  /** Tells what a changed policy means for what is firing. */
  reconsider(): void
  /** Stores how often findings were repeated since the last time. */
  tellFolded(): void
  /** Says how much the budgets held back since the last time, where they did. */
  tellExcess(): void
  detectorFailed(name: string, error: unknown): void
  /** Each finding that was stored, and what is new about it. */
  published$: Observable<Publication>
}

/** Stores a finding, then counts and tells it: what was counted once survives a crash and is delivered. */
export function createPublisher(options: PublisherOptions): Publisher {
  const { findings, throttle, store, metrics, log, receivers, now } = options
  const published$ = new Subject<Publication>()

  /** False where the act is known: it was read a second time. */
  function keep(publication: Publication): boolean {
    const { finding, act } = publication
    const told = isTold(publication) ? receivers().filter(takes(finding)) : []
    const isNew = store.save(finding, act, told, now())
    if (!isNew) return false
    metrics.published(publication)
    logFinding(log, publication)
    published$.next(publication)
    return true
  }

  /** Events may come by the thousand; conditions cannot, and their ends must not be held back. */
  function admit(publication: Publication): void {
    const { change, finding, act } = publication
    if (change !== 'new' || finding.kind === 'condition') return void keep(publication)
    if (isReadAgain(finding, act)) return
    const admission = throttle.admit(finding)
    if (admission === 'told') {
      if (!keep(publication)) throttle.forget(finding)
      return
    }
    if (finding.state === 'suppressed') metrics.suppressed(finding, 'allowed')
    else metrics.suppressed(finding, admission === 'folded' ? 'folded' : 'throttled')
  }

  /** A repetition is not stored, so whether its act is known has to be asked; of a flood only the beginning is. */
  function isReadAgain(finding: Finding, act: string | null): boolean {
    if (act === null || throttle.repetitions(finding) > askedRepetitions) return false
    return store.findByAct(finding.rule, act) !== null
  }

  function repeat({ id, count, lastSeen, summaries }: Folded): void {
    const known = store.find(id)
    if (known === null) return
    const last_seen = lastSeen > known.last_seen ? lastSeen : known.last_seen
    const others = summaries.filter((summary) => summary !== known.summary)
    const evidence = others.length === 0 ? known.evidence : { ...known.evidence, repeated: others }
    keep({
      change: 'updated',
      finding: { ...known, count: known.count + count, last_seen, evidence },
      act: null,
    })
  }

  function detectorFailed(name: string, error: unknown): void {
    metrics.detectorFailed(name)
    log.error(`the detector ${name} failed and goes on: ${messageOf(error)}`, {
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
      findings.resolveUnconfirmed().forEach(keep)
      // What an earlier run left was confirmed with the whole of its container: only now is it known what holds there.
      findings.reconsider().forEach(keep)
    },
    reconsider: () => findings.reconsider().forEach(keep),
    tellFolded: () => throttle.takeFolded().forEach(repeat),
    tellExcess() {
      const excess = throttle.takeExcess()
      if (excess === null) return
      const publication = findings.from(monitorIntegrity, excessDetection(excess, now()))
      if (publication !== null) keep(publication)
    },
  }
}

const askedRepetitions = 100

/** Whether receivers have to know of it: not of what was allowed from the beginning. */
function isTold({ change, finding }: Publication): boolean {
  return change !== 'updated' && !(change === 'new' && finding.state === 'suppressed')
}

function takes({ severity }: Finding) {
  return ({ minSeverity }: { minSeverity: Severity }) => isAtLeast(severity, minSeverity)
}
