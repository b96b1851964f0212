import type { Container } from './container.ts'
import type { BreakoutFileObservation } from './observations/breakout-files.ts'
import type {
  ContainerObservation,
  DockerEvent,
  ExecCaller,
  ExecEnded,
  ExecObservation,
} from './observations/docker.ts'
import type { ApiRequest, OomVictim, ProcessKilled, ProcessObservation } from './observations/processes.ts'
import type {
  EngineVersions,
  MaskObservation,
  RuntimeFileOpened,
  UsermodeHelper,
} from './observations/confinement.ts'
import type { ResourceSample } from './observations/resources.ts'
import type { HostHardening, RuntimeFileObservation } from './observations/runtime-files.ts'

export type * from './observations/confinement.ts'
export type * from './observations/breakout-files.ts'
export type * from './observations/docker.ts'
export type * from './observations/processes.ts'
export type * from './observations/resources.ts'
export * from './observations/runtime-files.ts'

/** Where observations come from; these names are label values. */
export const sourceNames = [
  'docker-events',
  'containers',
  'resources',
  'processes',
  'runtime-files',
  'container-masks',
  'breakout-files',
] as const
export type SourceName = (typeof sourceNames)[number]

/** One observation on the host. Every `time` is epoch milliseconds, with a fraction if known. */
export type Observation =
  | DockerEvent
  | ContainerObservation
  | ExecObservation
  | ExecEnded
  | ExecCaller
  | ApiRequest
  | ProcessObservation
  | ProcessKilled
  | OomVictim
  | ResourceSample
  | RuntimeFileObservation
  | HostHardening
  | RuntimeFileOpened
  | MaskObservation
  | UsermodeHelper
  | EngineVersions
  | BreakoutFileObservation
  | SourceStatus
  | EventsLost

/** Which source each kind comes from; statuses and losses name their source themselves. */
export const sourceOfKind: Readonly<
  Record<Exclude<ObservationKind, 'source-status' | 'events-lost'>, SourceName>
> = {
  'docker-event': 'docker-events',
  container: 'containers',
  exec: 'containers',
  'exec-ended': 'containers',
  'exec-caller': 'containers',
  'api-request': 'processes',
  'oom-victim': 'processes',
  process: 'processes',
  'process-killed': 'processes',
  resources: 'resources',
  'runtime-file': 'runtime-files',
  'host-hardening': 'runtime-files',
  'runtime-file-opened': 'runtime-files',
  masks: 'container-masks',
  'usermode-helper': 'processes',
  'engine-versions': 'containers',
  'breakout-file': 'breakout-files',
}

/** What detectors subscribe to: the name of each kind of observation. */
export type ObservationKind = Observation['kind']

/** The observation of a kind. */
export type ObservationOf<Kind extends ObservationKind> = Extract<Observation, { kind: Kind }>

/** A source's report about itself. */
export type SourceStatus = {
  kind: 'source-status'
  time: number
  source: SourceName
  up: boolean
  /** Its current mode: `ebpf`, `cgroup-v2`, `api`, …; empty while it is down. */
  mode: string
  /** Whether this is the best mode that the configuration allows. */
  best: boolean
  /** Why it is down or not in its best mode, and what to do; empty otherwise. */
  reason: string
}

/** A source or a queue could not keep up and lost this many events. */
export type EventsLost = {
  kind: 'events-lost'
  time: number
  source: SourceName
  reason: string
  /** Number of lost events; at least 1 if the number is unknown. */
  count: number
  /** The container, if only its events were dropped. */
  container?: Container
}
