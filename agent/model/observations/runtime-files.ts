import type { Container } from '../container.ts'
import type { FileWriter } from './breakout-files.ts'

export type RuntimeFileChange =
  | 'found' // baseline: seen at start or for the first time; an optional configuration file may be absent
  | 'verified' // unchanged; it was compared with its package
  | 'written'
  | 'replaced'
  | 'removed'
  | 'attributes' // owner or mode

/** What a file is to the engine: a program it runs, its configuration, or its API socket. */
export type RuntimeFileKind = 'binary' | 'configuration' | 'socket'

/** A change of a file that determines what runs when Docker starts a container. */
export type RuntimeFileObservation = {
  kind: 'runtime-file'
  file: RuntimeFileKind
  time: number
  change: RuntimeFileChange
  path: string
  before: FileState | null
  after: FileState | null
  /** The process that did it, if the kernel reports it. */
  writer: Writer | null
  /** The writer's container; null for the host or if unknown. */
  container: Container | null
  /** The rest of a long write that was reported when it started. */
  continued?: true
  /** The change was reported before with an empty digest, because hashing a large file takes time. */
  isUpdate?: true
  /** `verified` only: the package manager's data; null if the file belongs to no package. */
  package?: PackageFile | null
  /** Its digest is listed in the configuration. */
  accepted?: true
}

export type FileState = {
  device: number
  inode: number
  sizeBytes: number
  /** Permission bits, including setuid, setgid and sticky. */
  mode: number
  uid: number
  gid: number
  /** Lower-case hexadecimal; empty for a socket, and for a change reported before the file was read. */
  sha256: string
  /** Configuration only: the beginning of its text, to report what changed. */
  text?: string
}

/** What a package manager knows about a file. */
export type PackageFile = {
  manager: PackageManagerName
  name: string
  version: string
  /** Whether the file matches its package; null if the package has no record of it or is being unpacked. */
  matches: boolean | null
}

export type PackageManagerName = 'dpkg' | 'rpm' | 'apk' | 'snap'

/** The process that changed a runtime file. */
export type Writer = FileWriter & {
  /** The host's package manager that it is or descends from; empty if none. */
  packageManager: string
  /** Why only the pid is known, in that case. */
  unknownBecause?: string
}

/** Measures that prevent breakouts through the runtime, and whether they are in effect. */
export type HostHardening = {
  kind: 'host-hardening'
  time: number
  measures: Readonly<Partial<Record<HardeningMeasure, boolean>>>
}

export const hardeningMeasures = [
  'runtime-path-read-only',
  'runtime-file-immutable',
  'userns-remap',
  'selinux',
  'apparmor',
  'seccomp',
] as const
export type HardeningMeasure = (typeof hardeningMeasures)[number]
