import type { Container } from '../container.ts'

/** A local process sent a request to the Docker API; captured in the kernel when it was written. */
export type ApiRequest = {
  kind: 'api-request'
  time: number
  pid: number
  /** Clock ticks since boot; with the pid it identifies the process. */
  startTicks: number
  uid: number
  euid: number
  /** The same for all requests on one connection. */
  connection: bigint
  /** The first bytes written, as latin1 text: starts with the request line if a request starts here. */
  text: string
  /** The container of the client, by its cgroup; null for the host. */
  container: Container | null
}

/** `found`: it existed already. `executed`: it ran a program. `ids-changed`: its ids changed without running one. */
export type ProcessChange = 'found' | 'executed' | 'ids-changed'

/** A process of a container, each time it runs a program or changes its ids. */
export type ProcessObservation = {
  kind: 'process'
  time: number
  /** When the process started, if it was found some time after that; what it does began then at the earliest. */
  since?: number
  change: ProcessChange
  container: Container
  process: Process
  /** How it entered the container. */
  origin: ProcessOrigin
  /** How it sees the host's files, if it escaped; null for all other processes. */
  hostFiles: HostFiles | null
  /** The process and its ancestors, the nearest first; only if it escaped. */
  lineage?: readonly EnteringProcess[]
  /** Root or capabilities that it or an ancestor gained in the container; absent if there are none. */
  gain?: Gain
  /**
   * Effective capabilities that are new with this change, as a bit mask; only those valid in the container's user
   * namespace.
   */
  raisedCapabilities?: bigint
  /** The file it runs; inspected only if the process has root or gained rights by it. */
  file?: ProgramFile
}

/**
 * How a process gained rights. `file`: it ran a file that is setuid or has capabilities. `setuid-call`: it changed its
 * ids with CAP_SETUID. `overwrite`: its ids changed in neither way, as with a kernel exploit.
 */
export type GainWay = 'file' | 'setuid-call' | 'overwrite'

export type Gain = {
  way: GainWay
  /** The gain happened with this observation; otherwise it is an earlier one. */
  isNew: boolean
  /** The process that gained the rights. */
  by: Pick<Process, 'pid' | 'startTicks' | 'exe'>
  /** The file it ran; with way `file`, the cause. */
  file: ProgramFile
  /** Its state before; ids as seen in the container. */
  before: { uid: number; euid: number; capabilities: bigint }
}

/**
 * Where a program's file comes from: the container's image; a file added to the container or changed in it; a mount
 * from the host or a volume; a tmpfs; memory (memfd_create(2)). `unknown` if it could not be determined, because the
 * process was gone or the storage driver is not overlay; it never counts as the image's.
 */
export type FileOrigin = 'image' | 'container' | 'volume' | 'tmpfs' | 'memory' | 'unknown'

export type ProgramFile = {
  origin: FileOrigin
  /** Null if it could not be inspected. */
  status: {
    /** Uid on the host. */
    owner: number
    /** Permission bits, including setuid, setgid and sticky. */
    mode: number
    /** Whether the file gives its process capabilities; null if root ran it, which has them anyway. */
    hasCapabilities: boolean | null
  } | null
}

/** A container process was ended by SIGKILL, from any sender; of many in one second only the first are reported. */
export type ProcessKilled = {
  kind: 'process-killed'
  time: number
  container: Container
  process: Pick<Process, 'pid' | 'startTicks' | 'exe' | 'argv'>
}

/**
 * The kernel chose a container process as the victim of an out-of-memory kill (tracepoint `oom:mark_victim`). Rarely
 * it chooses one that was already dying; then its counter of kills does not change.
 */
export type OomVictim = {
  kind: 'oom-victim'
  time: number
  container: Container
  process: Pick<Process, 'pid' | 'startTicks' | 'exe' | 'argv'>
  /** It is the container's first process, so the container dies with it. */
  isInit: boolean
  /** Its whole cgroup is killed (`memory.oom.group`). */
  isGroup: boolean
  /** The exec of the Docker API that it is the main program of; empty if none. */
  execId: string
}

/**
 * How an escaped process sees the host's files: it is in the host's mount namespace, or has the host's root
 * directory.
 */
export type HostFiles = 'mount-namespace' | 'root'

export type Process = {
  pid: number
  parentPid: number
  /** Clock ticks since boot, as in /proc/PID/stat; with the pid it identifies one process until the next boot. */
  startTicks: number
  /** Epoch milliseconds, in steps of 10. */
  startedAt: number
  /** Ids on the host. */
  uid: number
  euid: number
  gid: number
  /** Ids in the container's user namespace, even if the process has created a namespace of its own. */
  containerUid: number
  containerEuid: number
  /** Effective capabilities as the kernel's bit mask; valid only in the process's own user namespace. */
  capabilities: bigint
  /** At most 15 bytes, chosen by the process. */
  comm: string
  /** Symlinks resolved, ` (deleted)` appended if deleted; empty if it could not be read. */
  exe: string
  /** The path was truncated: its first components are missing. */
  exeTruncated: boolean
  /** Null if it could not be read. */
  exeFile: ExecutableFile | null
  argv: readonly string[]
  /** The argv was truncated. */
  argvTruncated: boolean
  /** Empty if unknown. */
  workingDirectory: string
  /** The working directory is in another mount namespace than the process, so no path of the process leads to it. */
  workingDirectoryOutside?: true
  namespaces: Namespaces
  /** Path from the root of its hierarchy; empty if unknown. */
  cgroup: string
}

/** The file that a process runs. `device` is the superblock's, encoded as `st_dev` of stat(2). */
export type ExecutableFile = { device: number; inode: number }

/** Namespaces by their inode numbers, as in /proc/PID/ns; 0 if unknown. */
export type Namespaces = { mount: number; pid: number; user: number }

export type ProcessOrigin =
  /** The container's first process or one of its descendants. */
  | { via: 'init' }
  /** Entered from outside; `entry` is its topmost ancestor in the container. */
  | {
      via: 'entered'
      entry: Pick<Process, 'pid' | 'startTicks' | 'startedAt'>
      /** The exec of the Docker API that it belongs to, from the runtime's arguments; empty if none. */
      execId: string
      /**
       * What brought it in, the nearest first: the programs that the entry itself ran before it entered, then its
       * ancestors outside; bounded. Empty if unknown.
       */
      by: readonly EnteringProcess[]
    }

/** The origin of a process that entered from outside. */
export type EnteredOrigin = Extract<ProcessOrigin, { via: 'entered' }>

export type EnteringProcess = Pick<Process, 'pid' | 'uid' | 'exe' | 'argv'> & {
  /** The host's name for its uid; the uid as text if it has none. */
  user: string
  /** The login user, whatever its user is now; empty if there is none or the process exited too early to be read. */
  loginUser: string
  /** The container that the process itself is in; null for the host. */
  containerId: string | null
}
