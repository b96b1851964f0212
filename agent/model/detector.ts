import type { Observable } from 'rxjs'
import type { z } from 'zod'
import type { Container } from './container.ts'
import type { EvidenceFields } from './evidence-type.ts'
import type { ExecView } from './exec-view.ts'
import type { Detection, Rule } from './finding.ts'
import type {
  BreakoutFileObservation,
  ContainerObservation,
  DockerEvent,
  EngineVersions,
  EventsLost,
  ExecCaller,
  ExecEnded,
  ExecObservation,
  MaskObservation,
  OomVictim,
  ProcessKilled,
  ProcessObservation,
  ResourceSample,
  RuntimeFileObservation,
  RuntimeFileOpened,
  SourceStatus,
  UsermodeHelper,
} from './observation.ts'

/** What a detector may look at: hot streams, one for each kind of observation, the execs of now, and its own memory. */
export type Observed = {
  dockerEvents$: Observable<DockerEvent>
  containers$: Observable<ContainerObservation>
  execs$: Observable<ExecObservation>
  execEnds$: Observable<ExecEnded>
  execCallers$: Observable<ExecCaller>
  processes$: Observable<ProcessObservation>
  processKills$: Observable<ProcessKilled>
  oomVictims$: Observable<OomVictim>
  resources$: Observable<ResourceSample>
  runtimeFiles$: Observable<RuntimeFileObservation>
  runtimeFileOpens$: Observable<RuntimeFileOpened>
  masks$: Observable<MaskObservation>
  usermodeHelpers$: Observable<UsermodeHelper>
  engineVersions$: Observable<EngineVersions>
  breakoutFiles$: Observable<BreakoutFileObservation>
  sourceStatuses$: Observable<SourceStatus>
  eventsLost$: Observable<EventsLost>
  execs: ExecView
  /**
   * In milliseconds: how long after its entry who came into a container without an exec is told as that; 0 where
   * nobody tells it.
   */
  entriesToldAfter: (container: Container) => number
  memory: Memory
}

/**
 * What a detector may keep for longer than the daemon runs, by keys of its own. Commands write it too, so what
 * matters is read when it is needed and not kept.
 */
export type Memory = {
  get(key: string): string | null
  set(key: string, value: string): void
  delete(key: string): void
  keys(prefix: string): readonly string[]
}

/**
 * A detector is data and one function. It never logs, counts, reads the wall clock or a global: the core
 * isolates it, restarts it when it throws, and adds host, ids and times to what it says.
 */
export type Detector<Settings extends z.ZodObject = z.ZodObject> = {
  name: string
  /** Its findings are about tidewatch itself, so their alerts belong to every site's health rules. */
  isAboutTidewatch?: true
  rules: Readonly<Record<string, Rule>>
  /** What the evidence of each rule can hold: expressions of the policy are checked by it. */
  evidence: Readonly<Record<string, EvidenceFields>>
  /** The detector's own settings, beside `enabled` and `rules`; every key has a default and a description. */
  settings: Settings
  /** The keys of those that may differ by container, and change while it runs: `detect` asks `settingsOf` for them. */
  perContainer?: readonly (keyof z.output<Settings> & string)[]
  detect(
    observed: Observed,
    settings: z.output<Settings>,
    settingsOf?: SettingsOf<z.output<Settings>>,
  ): Observable<Detection>
}

/** The settings that hold for a container now. */
export type SettingsOf<Settings> = (container: Container) => Settings

/** Keeps the types of one detector's settings and rules while it stands in a table with others. */
export function defineDetector<Settings extends z.ZodObject>(
  detector: Detector<Settings>,
): Detector<Settings> {
  return detector
}
