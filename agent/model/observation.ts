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

/** One thing that was seen on the host. Every `time` is epoch milliseconds, with a fraction where it is known. */
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

/** A source speaking of itself. */
export type SourceStatus = {
  kind: 'source-status'
  time: number
  source: SourceName
  up: boolean
  /** How it works now: `ebpf`, `cgroup-v2`, `api`, …; empty while it is down. */
  mode: string
  /** Whether this is the best mode that the configuration allows. */
  best: boolean
  /** Why it is down or not in its best mode, and what to do; empty when all is well. */
  reason: string
}

/** A source or a queue could not keep up, and says how much it did not see. */
export type EventsLost = {
  kind: 'events-lost'
  time: number
  source: SourceName
  reason: string
  /** How many; at least 1 where only the fact is known. */
  count: number
  /** Whose events they were, where one container's alone were dropped. */
  container?: Container
}
