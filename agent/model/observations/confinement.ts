import type { Container } from '../container.ts'
import type { Process } from './processes.ts'

/** Whether the first process of a container is confined as configured. */
export type MaskObservation = {
  kind: 'masks'
  time: number
  container: Container
  /** Host pid of its first process. */
  pid: number
  state: MaskState
  /** Empty unless the state is `missing`. */
  missing: readonly MissingMask[]
}

/**
 * `intact`: everything is as configured. `unmasked`: configured without masks, as privileged containers are.
 * `sandboxed`: it has its own kernel, whose mounts say nothing about the host. `unknown`: it could not be inspected.
 */
export type MaskState = 'intact' | 'missing' | 'unmasked' | 'sandboxed' | 'unknown'

export type MaskKind =
  | 'masked-path'
  | 'readonly-path'
  | 'console'
  | 'terminals'
  | 'security-label'
  | 'seccomp'

/** One confinement measure that is configured and not in effect. */
export type MissingMask = {
  what: MaskKind
  /** A path in the container, or the file below /proc/PID that shows it. */
  path: string
  /** Readable description of what is there instead. */
  found: string
}

/** The kernel ran a usermode helper on the host whose file is writable by a container, or is part of an image. */
export type UsermodeHelper = {
  kind: 'usermode-helper'
  time: number
  process: Process
  /** The container that the file belongs to; null if it is not running or the file is an image's. */
  container: Container | null
  /** The path as given to the kernel. */
  path: string
  via: HelperPlace
}

/**
 * How a helper's file belongs to a container. `root`: it is on the container's root file system. `layer`: it is in
 * the engine's layers of containers and images. `volume`: it is in a folder mounted writable into the container.
 * `process`: the path goes through /proc/PID of a process of the container.
 */
export type HelperPlace = 'root' | 'layer' | 'volume' | 'process'

/**
 * A process in a container opened a file that runs when Docker starts a container, through no mount of the container.
 */
export type RuntimeFileOpened = {
  kind: 'runtime-file-opened'
  time: number
  /** The file's path on the host. */
  path: string
  container: Container
  /** The uid is the effective uid on the host; `exe` and `argv` are empty if they could not be read. */
  opener: Pick<Process, 'pid' | 'uid' | 'exe' | 'argv'>
  /** Clock ticks since boot; with the pid it identifies the opener. */
  startTicks: number
  /** The opener is the runtime itself, on its way into the container, executing the configured program. */
  byRuntime: boolean
}

/** The versions of the engine's components, as reported by the engine. */
export type EngineVersions = {
  kind: 'engine-versions'
  time: number
  components: readonly ComponentVersion[]
  /** Whether the engine has authorization plugins; null if it does not report it. */
  authorizationPlugins: boolean | null
}

export type EngineComponent = 'engine' | 'containerd' | 'runc'

export type ComponentVersion = {
  component: EngineComponent
  /** As reported by the program: `1.1.5+ds1`, `20.10.24+dfsg1`. */
  version: string
  /** Version of the distribution's package; empty if it is not known to come from one. */
  packageVersion: string
}
