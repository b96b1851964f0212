import type { Container } from '../container.ts'

/** A local process has sent a request to the Docker API; seen by the kernel as it was written. */
export type ApiRequest = {
  kind: 'api-request'
  time: number
  pid: number
  /** Clock ticks since boot; with the pid it names the process. */
  startTicks: number
  uid: number
  euid: number
  /** The same for all requests on one connection. */
  connection: bigint
  /** The first bytes of what was written, as latin1 text: the request line, where a request begins here. */
  text: string
  /** The container of the client, by its cgroup; null for the host. */
  container: Container | null
}

/** What became known of a process: it was there already, it ran a program, or its ids changed without one. */
export type ProcessChange = 'found' | 'executed' | 'ids-changed'

/** A process of a container, each time it runs a program or changes its ids. */
export type ProcessObservation = {
  kind: 'process'
  time: number
  change: ProcessChange
  container: Container
  process: Process
  /** How it came into the container. */
  origin: ProcessOrigin
  /** It sees the host's files as the host does, and so has got out; null for all that has not. */
  hostFiles: HostFiles | null
  /** Itself and those it descends from, the nearest first; only where it has got out. */
  lineage?: readonly EnteringProcess[]
  /** Root or capabilities that it came to in the container, by itself or an ancestor; absent where there is no such. */
  gain?: Gain
  /** Effective capabilities that it had not before this change, as a bit mask; only those that count in the container. */
  raisedCapabilities?: bigint
  /** The file it runs; looked at only where it has root, or gained by it. */
  file?: ProgramFile
}

/**
 * By what a process came to rights. `file`: it ran one that is setuid or has capabilities. `setuid-call`: it changed
 * its ids, as CAP_SETUID allowed it. `overwrite`: its ids changed by neither, as an exploit of the kernel does it.
 */
export type GainWay = 'file' | 'setuid-call' | 'overwrite'

export type Gain = {
  way: GainWay
  /** This observation tells the gain itself; otherwise it is from before. */
  isNew: boolean
  /** Who gained. */
  by: Pick<Process, 'pid' | 'startTicks' | 'exe'>
  /** What it ran, by `file` the cause. */
  file: ProgramFile
  /** What it was until then; ids as the container counts them. */
  before: { uid: number; euid: number; capabilities: bigint }
}

/**
 * Where a program's file comes from: the container's image; a file added to the container or changed in it; a mount
 * from the host or a volume; a tmpfs; memory alone (memfd_create(2)). `unknown` where it could not be told, because
 * the process was gone or the storage driver is not overlay: never taken for the image's.
 */
export type FileOrigin = 'image' | 'container' | 'volume' | 'tmpfs' | 'memory' | 'unknown'

export type ProgramFile = {
  origin: FileOrigin
  /** Null where it could not be looked at. */
  status: {
    /** As the host counts it. */
    owner: number
    /** Permission bits with setuid and its kin. */
    mode: number
    /** The file gives capabilities to its process; null where root ran it, which has them anyway. */
    hasCapabilities: boolean | null
  } | null
}

/** A process of a container ended by SIGKILL, from whomever; of many in a second only the first are told. */
export type ProcessKilled = {
  kind: 'process-killed'
  time: number
  container: Container
  process: Pick<Process, 'pid' | 'startTicks' | 'exe' | 'argv'>
}

/**
 * The kernel chose a process of a container as the victim of an out-of-memory kill (tracepoint `oom:mark_victim`). Rarely
 * it names one that was dying already: then its counter of kills does not move.
 */
export type OomVictim = {
  kind: 'oom-victim'
  time: number
  container: Container
  process: Pick<Process, 'pid' | 'startTicks' | 'exe' | 'argv'>
  /** It is the container's first process, so that the container dies of it. */
  isInit: boolean
  /** It is killed with its whole cgroup (`memory.oom.group`). */
  isGroup: boolean
  /** The exec of the Docker API whose own program it is; empty for none. */
  execId: string
}

/** By what: the host's mount namespace is its own, or the host's root directory is its own. */
export type HostFiles = 'mount-namespace' | 'root'

export type Process = {
  pid: number
  parentPid: number
  /** Clock ticks since boot, as in /proc/PID/stat; with the pid it names one process until the next boot. */
  startTicks: number
  /** Epoch milliseconds, in steps of 10. */
  startedAt: number
  /** As the host counts them. */
  uid: number
  euid: number
  gid: number
  /** As the container's own user namespace counts them, whatever namespace the process made for itself. */
  containerUid: number
  containerEuid: number
  /** Effective capabilities as the kernel's bit mask; they count in the process's own user namespace only. */
  capabilities: bigint
  /** At most 15 bytes, chosen by the process. */
  comm: string
  /** Symlinks resolved, ` (deleted)` appended where it is; empty for one that could not be read. */
  exe: string
  /** The path is longer than what was kept: its first parts are missing. */
  exeTruncated: boolean
  /** Null for one that could not be read. */
  exeFile: ExecutableFile | null
  argv: readonly string[]
  /** There was more than was kept. */
  argvTruncated: boolean
  /** Empty where unknown. */
  workingDirectory: string
  /** The working directory is in another mount namespace than the process, and so in no place that it could name. */
  workingDirectoryOutside?: true
  namespaces: Namespaces
  /** Path from the root of its hierarchy; empty where unknown. */
  cgroup: string
}

/** The file a process runs. Device is the superblock's, encoded as `st_dev` of stat(2). */
export type ExecutableFile = { device: number; inode: number }

/** Namespaces by their inode numbers, as in /proc/PID/ns; 0 where unknown. */
export type Namespaces = { mount: number; pid: number; user: number }

export type ProcessOrigin =
  /** The container's first process, or descended from it. */
  | { via: 'init' }
  /** Came from outside: `entry` is its topmost ancestor in the container. */
  | {
      via: 'entered'
      entry: Pick<Process, 'pid' | 'startTicks' | 'startedAt'>
      /** The exec of the Docker API that it belongs to, by the runtime's own arguments; empty for none. */
      execId: string
      /**
       * Who brought it in, the nearest first: what the entry itself ran before it was in the container, then its
       * ancestors outside; bounded. Empty where nobody knows.
       */
      by: readonly EnteringProcess[]
    }

/** Of a process that came from outside. */
export type EnteredOrigin = Extract<ProcessOrigin, { via: 'entered' }>

export type EnteringProcess = Pick<Process, 'pid' | 'uid' | 'exe' | 'argv'> & {
  /** The name that the host has for its uid; the number as text where it has none. */
  user: string
  /** Who logged in, whatever became of the user since; empty where nobody did, or it was gone before it was asked. */
  loginUser: string
  /** The container that it is in itself; null for the host. */
  containerId: string | null
}
