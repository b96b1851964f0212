import { type Observable, Subject } from 'rxjs'
import type { Logger } from 'winston'
import { logFinding } from '../exporters/log.ts'
import type { Metrics } from '../exporters/prometheus/index.ts'
import { messageOf } from './errors.ts'
import type { Findings, Publication } from './findings.ts'
import { isAtLeast, type Severity } from './model/finding.ts'
import type { Detected } from './pipeline.ts'
import type { Store } from './store/store.ts'
import type { Queue } from './store/tables.ts'

export type PublisherOptions = {
  findings: Findings
  store: Pick<Store, 'save'>
  metrics: Pick<Metrics, 'published' | 'detectorFailed'>
  log: Logger
  receivers: readonly (Queue & { minSeverity: Severity })[]
  now: () => number
}

/** The last step of every finding. */
export type Publisher = {
  publish(detected: Detected): void
  /** Ends what an earlier run left firing and this one has not seen. */
  resolveUnconfirmed(): void
  detectorFailed(name: string, error: unknown): void
  /** Fires after each finding that was stored. */
  published$: Observable<void>
}

/** Stores a finding, then counts and tells it: what was counted once survives a crash and is delivered. */
export function createPublisher(options: PublisherOptions): Publisher {
  const { findings, store, metrics, log, receivers, now } = options
  const published$ = new Subject<void>()

  function keep(publication: Publication): void {
    const { change, finding, act } = publication
    const told =
      change === 'updated' ? [] : receivers.filter((r) => isAtLeast(finding.severity, r.minSeverity))
    const isNew = store.save(finding, act, told, now())
    if (!isNew) return
    metrics.published(publication)
    logFinding(log, publication)
    published$.next()
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
        if (publication !== null) keep(publication)
      } catch (error) {
        detectorFailed(detector.name, error)
      }
    },
    resolveUnconfirmed: () => findings.resolveUnconfirmed().forEach(keep),
  }
}
