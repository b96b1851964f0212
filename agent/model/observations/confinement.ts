import type { Container } from '../container.ts'
import type { Process } from './processes.ts'

/** What a container's first process can see and do, against what the container is configured with. */
export type MaskObservation = {
  kind: 'masks'
  time: number
  container: Container
  /** Its first process, on the host. */
  pid: number
  state: MaskState
  /** Empty unless the state is `missing`. */
  missing: readonly MissingMask[]
}

/**
 * `intact`: all is as configured. `unmasked`: it is configured to have no masks, as privileged containers are.
 * `sandboxed`: it has a kernel of its own, whose mounts say nothing about the host. `unknown`: it could not be looked at.
 */
export type MaskState = 'intact' | 'missing' | 'unmasked' | 'sandboxed' | 'unknown'

export type MaskKind =
  | 'masked-path'
  | 'readonly-path'
  | 'console'
  | 'terminals'
  | 'security-label'
  | 'seccomp'

/** One thing that ought to confine a container and does not. */
export type MissingMask = {
  what: MaskKind
  /** Where: a path in the container, or the file of /proc/PID that tells. */
  path: string
  /** What is there instead, for people. */
  found: string
}

/** The kernel itself ran a program of the host's, and its file lies where a container can write, or in an image. */
export type UsermodeHelper = {
  kind: 'usermode-helper'
  time: number
  process: Process
  /** Whose files they are; null for one that does not run, and for an image's. */
  container: Container | null
  /** The path that led there, as the kernel was given it. */
  path: string
  via: HelperPlace
}

/**
 * By what a helper's file is a container's. `root`: it lies on the file system that is the container's root. `layer`:
 * among the engine's layers of containers and images. `volume`: in a folder mounted writable into the container.
 * `process`: the path goes through /proc/PID of a process of the container.
 */
export type HelperPlace = 'root' | 'layer' | 'volume' | 'process'

/** Somebody in a container has opened a file that runs when Docker starts a container, by no mount of the container. */
export type RuntimeFileOpened = {
  kind: 'runtime-file-opened'
  time: number
  /** The file's path on the host. */
  path: string
  container: Container
  /** The uid is the effective one, as the host counts it; `exe` and `argv` are empty where they could not be read. */
  opener: Pick<Process, 'pid' | 'uid' | 'exe' | 'argv'>
  /** Clock ticks since boot; with the pid it names the opener. */
  startTicks: number
  /** The opener is itself the runtime on its way into the container, which ran what it was told to run. */
  byRuntime: boolean
}

/** What the engine says of its own parts. */
export type EngineVersions = {
  kind: 'engine-versions'
  time: number
  components: readonly ComponentVersion[]
  /** Requests to the engine are put before plugins; null where the engine does not say. */
  authorizationPlugins: boolean | null
}

export type EngineComponent = 'engine' | 'containerd' | 'runc'

export type ComponentVersion = {
  component: EngineComponent
  /** As the program says it: `1.1.5+ds1`, `20.10.24+dfsg1`. */
  version: string
  /** Of the distribution's package; empty where it is not known to come from one. */
  packageVersion: string
}
