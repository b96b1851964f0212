import { filter, map, merge, type Observable } from 'rxjs'
import { detectorConfig, type Config } from './config/schema.ts'
import type { Detector, Memory, Observed } from './model/detector.ts'
import type { Detection } from './model/finding.ts'
import type { Observation } from './model/observation.ts'
import { supervise } from './streams.ts'

/** A detection, and which detector made it. */
export type Detected = { detector: Detector; detection: Detection }

/** The observations of all sources as the streams that detectors look at. */
export function observedOf(observations$: Observable<Observation>): Omit<Observed, 'memory' | 'execs'> {
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

/** Runs every enabled detector, each for itself: one that fails is counted and started again, the others go on. */
export function detect(
  detectors: readonly Detector[],
  observed: Omit<Observed, 'memory'>,
  config: Config,
  memoryOf: (detector: string) => Memory,
  onFailure: (detector: string, error: unknown) => void,
): Observable<Detected> {
  const running = detectors.flatMap((detector) => {
    const { enabled, rules: _rules, ...settings } = detectorConfig(config, detector.name)
    if (!enabled) return []
    const detected$ = detector
      .detect({ ...observed, memory: memoryOf(detector.name) }, settings)
      .pipe(map((detection) => ({ detector, detection })))
    return [
      supervise<Detected>(detected$, (error) => {
        onFailure(detector.name, error)
        return undefined
      }),
    ]
  })
  return merge(...running)
}
