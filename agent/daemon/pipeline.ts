import { EMPTY, filter, map, merge, type Observable } from 'rxjs'
import type { CurrentConfig } from '../config/current.ts'
import type { DetectorSection } from '../config/detectors-schema.ts'
import { detectorConfig, detectorConfigFor, isRunning } from '../config/schema.ts'
import { switchDetector, type Run } from './detector-switchover.ts'
import type { Container } from '../model/container.ts'
import type { Detector, Memory, Observed } from '../model/detector.ts'
import type { Observation, ObservationKind, ObservationOf } from '../model/observation.ts'
import { supervise } from '../lib/streams.ts'
import { type Detected } from './detected.ts'

/** The observations of all sources by kind, for the detectors. */
export function observationsByKind(observations$: Observable<Observation>): Pick<Observed, 'on'> {
  return {
    on: <Kind extends ObservationKind>(kind: Kind) =>
      observations$.pipe(filter((one): one is ObservationOf<Kind> => one.kind === kind)),
  }
}

export type DetectOptions = {
  detectors: readonly Detector[]
  observed: Omit<Observed, 'memory'>
  config: Pick<CurrentConfig, 'now' | 'part$'>
  memoryOf: (detector: string) => Memory
  /** Epoch milliseconds. */
  now: () => number
  onFailure: (detector: string, error: unknown) => void
  /** Called for each restarted detector: its open conditions must be confirmed again. */
  onReplaced?: (detector: string) => void
}

/** Runs every enabled detector independently: one that fails is counted and restarted, the others continue. */
export function detect({ detectors, ...options }: DetectOptions): Observable<Detected> {
  return merge(...detectors.map((detector) => runDetector(detector, options)))
}

// The longest time that a detector can be configured to wait for events related to a detection.
const drainMs = 90_000

/** A detector keeps running through a reload; it restarts only if settings change that it reads at start. */
function runDetector(detector: Detector, options: Omit<DetectOptions, 'detectors'>): Observable<Detected> {
  const { observed, config, memoryOf, now, onFailure, onReplaced } = options
  const { name, perContainer = [] } = detector
  const settingsOf = (container: Container) => settingsIn(detectorConfigFor(config.now(), name, container))
  const runs$ = config
    .part$((current) => {
      const section = detectorConfig(current, name)
      return isRunning(section) ? without(settingsIn(section), perContainer) : null
    })
    .pipe(
      map((startedWith, index): Run => {
        if (index > 0) onReplaced?.(name)
        if (startedWith === null) return { detected$: EMPTY, stopsLast: true }
        const settings = settingsIn(detectorConfig(config.now(), name))
        const detected$ = detector
          .detect({ ...observed, memory: memoryOf(name) }, settings, settingsOf)
          .pipe(map((detection) => ({ detector, detection })))
        const supervised$ = supervise<Detected>(detected$, (error) => {
          onFailure(name, error)
          return undefined
        })
        return { detected$: supervised$, stopsLast: false }
      }),
    )
  return switchDetector(runs$, now, drainMs)
}

function settingsIn({
  enabled: _enabled,
  rules: _rules,
  overrides: _overrides,
  ...settings
}: DetectorSection) {
  return settings as Record<string, unknown>
}

function without(settings: Record<string, unknown>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(settings).filter(([key]) => !keys.includes(key)))
}
