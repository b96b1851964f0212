import { EMPTY, filter, map, merge, type Observable } from 'rxjs'
import type { CurrentConfig } from '../config/current.ts'
import type { DetectorSection } from '../config/detectors-schema.ts'
import { detectorConfig, detectorConfigFor, isRunning } from '../config/schema.ts'
import { handOver, type Run } from './detector-switchover.ts'
import type { Container } from '../model/container.ts'
import type { Detector, Memory, Observed } from '../model/detector.ts'
import type { Observation } from '../model/observation.ts'
import { supervise } from '../lib/streams.ts'
import { type Detected } from './detected.ts'

/** The observations of all sources as the streams that detectors look at. */
export function observedOf(
  observations$: Observable<Observation>,
): Omit<Observed, 'memory' | 'execs' | 'entriesToldAfter'> {
  const kind = <K extends Observation['kind']>(name: K) =>
    observations$.pipe(
      filter((observation): observation is Extract<Observation, { kind: K }> => observation.kind === name),
    )
  return {
    dockerEvents$: kind('docker-event'),
    containers$: kind('container'),
    execs$: kind('exec'),
    execEnds$: kind('exec-ended'),
    execCallers$: kind('exec-caller'),
    processes$: kind('process'),
    processKills$: kind('process-killed'),
    oomVictims$: kind('oom-victim'),
    resources$: kind('resources'),
    runtimeFiles$: kind('runtime-file'),
    runtimeFileOpens$: kind('runtime-file-opened'),
    masks$: kind('masks'),
    usermodeHelpers$: kind('usermode-helper'),
    engineVersions$: kind('engine-versions'),
    breakoutFiles$: kind('breakout-file'),
    sourceStatuses$: kind('source-status'),
    eventsLost$: kind('events-lost'),
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
  /** Told of each detector that was started anew: what it had found has to be confirmed. */
  onReplaced?: (detector: string) => void
}

/** Runs every enabled detector, each for itself: one that fails is counted and started again, the others go on. */
export function detect({ detectors, ...options }: DetectOptions): Observable<Detected> {
  return merge(...detectors.map((detector) => followed(detector, options)))
}

// The longest that a detector may be set to wait for what belongs to an act.
const drainMs = 90_000

/** A detector goes on through a reload; only where settings change that it reads when it starts is it started anew. */
function followed(detector: Detector, options: Omit<DetectOptions, 'detectors'>): Observable<Detected> {
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
        const kept$ = supervise<Detected>(detected$, (error) => {
          onFailure(name, error)
          return undefined
        })
        return { detected$: kept$, stopsLast: false }
      }),
    )
  return handOver(runs$, now, drainMs)
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
