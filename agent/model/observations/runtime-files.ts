import type { Container } from '../container.ts'
import type { FileWriter } from './breakout-files.ts'

export type RuntimeFileChange =
  | 'found' // baseline: seen at start, or for the first time; a configuration that need not be there may not be
  | 'verified' // nothing happened; it was compared with its package
  | 'written'
  | 'replaced'
  | 'removed'
  | 'attributes' // owner or mode

/**
 * What a file is to the engine: a program it runs, something that configures it, or the socket by which it is
 * told what to do.
 */
export type RuntimeFileKind = 'binary' | 'configuration' | 'socket'

/** Something happened to a file that decides what runs when Docker starts a container. */
export type RuntimeFileObservation = {
  kind: 'runtime-file'
  file: RuntimeFileKind
  time: number
  change: RuntimeFileChange
  path: string
  before: FileState | null
  after: FileState | null
  /** Who did it, where the kernel says so. */
  writer: Writer | null
  /** The container the writer is in; null for the host or when unknown. */
  container: Container | null
  /** The rest of a long write that was reported when it began. */
  continued?: true
  /** It was told before with an empty digest, because reading a large file takes longer than telling that it was written to. */
  completes?: true
  /** `verified` only: what the package manager says of it; null where no package has the file. */
  package?: PackageFile | null
  /** Its digest is one that the configuration names. */
  accepted?: true
}

export type FileState = {
  device: number
  inode: number
  sizeBytes: number
  /** Permission bits with setuid and its kin. */
  mode: number
  uid: number
  gid: number
  /** Lower-case hexadecimal; empty for a socket, and for what was told before it was read. */
  sha256: string
  /** Configuration only: its beginning, so that what changed can be told. */
  text?: string
}

/** What a package manager knows of a file. */
export type PackageFile = {
  manager: PackageManagerName
  name: string
  version: string
  /** Whether the file is as it was packed; null where the package says nothing of it, or is being unpacked. */
  matches: boolean | null
}

export type PackageManagerName = 'dpkg' | 'rpm' | 'apk' | 'snap'

/** Who changed a runtime file. */
export type Writer = FileWriter & {
  /** The host's package manager that it is or descends from; empty for none. */
  packageManager: string
  /** Why no more than the pid is known, where that is so. */
  unknownBecause?: string
}

/** Measures that keep a breakout through the runtime from working, and whether they are in force. */
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
