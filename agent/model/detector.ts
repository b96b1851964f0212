import type { Observable } from 'rxjs'
import type { z } from 'zod'
import type { Container } from './container.ts'
import type { EvidenceFields } from './evidence-type.ts'
import type { ExecView } from './exec-view.ts'
import type { Detection, Rule } from './finding.ts'
import type { ObservationKind, ObservationOf } from './observation.ts'

/** A detector's inputs: a hot stream for each kind of observation, the current execs, and its own memory. */
export type Observed = {
  /** The hot stream of all observations of one kind. */
  on<Kind extends ObservationKind>(kind: Kind): Observable<ObservationOf<Kind>>
  execs: ExecView
  memory: Memory
}

/**
 * A detector's persistent key-value store, which survives restarts of the daemon. CLI commands write to it too, so
 * detectors read values when they need them and do not cache them.
 */
export type Memory = {
  get(key: string): string | null
  set(key: string, value: string): void
  delete(key: string): void
  keys(prefix: string): readonly string[]
}

/**
 * A detector is data and one function. It never logs, counts, or reads the wall clock or a global: the core isolates
 * it, restarts it when it throws, and adds host, ids and times to its detections.
 */
export type Detector<Settings extends z.ZodObject = z.ZodObject> = {
  name: string
  /** Its findings are about tidewatch itself, so their alerts belong to the health rules. */
  isAboutTidewatch?: true
  rules: Readonly<Record<string, Rule>>
  /** The evidence fields of each rule; policy expressions are checked against them. */
  evidence: Readonly<Record<string, EvidenceFields>>
  /** The detector's own settings, next to `enabled` and `rules`; every key has a default and a description. */
  settings: Settings
  /** Keys of settings that can differ by container and change while it runs; `detect` gets them from `settingsOf`. */
  perContainer?: readonly (keyof z.output<Settings> & string)[]
  detect(
    observed: Observed,
    settings: z.output<Settings>,
    settingsOf?: SettingsOf<z.output<Settings>>,
  ): Observable<Detection>
}

/** The current settings for a container. */
export type SettingsOf<Settings> = (container: Container) => Settings

/** Preserves the types of one detector's settings and rules. */
export function defineDetector<Settings extends z.ZodObject>(
  detector: Detector<Settings>,
): Detector<Settings> {
  return detector
}
