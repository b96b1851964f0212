import type { Container } from './container.ts'

/** Where observations come from; these names are label values. */
export const sourceNames = ['docker-events', 'containers', 'resources', 'processes', 'runtime-files'] as const
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
  | ResourceSample
  | RuntimeFileObservation
  | SourceStatus
  | EventsLost

/** An event of the engine as it came, before anything was joined to it. */
export type DockerEvent = {
  kind: 'docker-event'
  time: number
  /** Exact time in nanoseconds since the epoch: more than a number holds. */
  timeNano: bigint
  /** `container`, `image`, `network`, … */
  type: string
  /** The verb alone: `exec_create`, `die`, `health_status`. */
  action: string
  /** What followed the verb after `: `, for an exec the argv joined by spaces. */
  detail: string
  /** The id of what it happened to; empty for some events. */
  actorId: string
  attributes: Readonly<Record<string, string>>
}

export type ContainerAction =
  | 'seen' // found by listing, not by an event
  | 'created'
  | 'started'
  | 'died'
  | 'oom'
  | 'paused'
  | 'unpaused'
  | 'renamed'
  | 'updated'
  | 'removed'

export type ContainerObservation = {
  kind: 'container'
  time: number
  action: ContainerAction
  container: Container
  /** `died` only. */
  exitCode: number | null
  /** `renamed` only. */
  previousName: string | null
}

/** A program that the engine started in a container by its exec call. */
export type ExecObservation = {
  kind: 'exec'
  time: number
  container: Container
  /** 64 hexadecimal digits; empty where a label of the image hides it and listing did not find it. */
  execId: string
  argv: readonly string[]
  /** False when only the event told the command: then argv is one string with its boundaries lost. */
  exact: boolean
  /** Null where the engine could not be asked. */
  settings: ExecSettings | null
  /** Whether it is the container's own health check to the letter. */
  healthcheck: boolean
}

export type ExecSettings = {
  /** As given to `--user`, or what the container is configured with. */
  user: string
  tty: boolean
  openStdin: boolean
  privileged: boolean
  /** Host pid; 0 when the process had not started or had already failed to. */
  pid: number
}

/** The end of an exec; `exitCode` is null when nobody could tell. */
export type ExecEnded = {
  kind: 'exec-ended'
  time: number
  container: Container
  execId: string
  exitCode: number | null
}

/** Who asked the engine for an exec: once for each, at once or a moment after the exec; none for one without an id. */
export type ExecCaller = {
  kind: 'exec-caller'
  time: number
  container: Container
  execId: string
  caller: Caller
}

/**
 * How sure it is who called. `exact`: the client's own request names the exec. `argv`: the command line of a Docker
 * client says the same exec at the same time. `ambiguous`: several may have been it. `remote`: by TCP, `address`
 * is all there is. `unknown`: nothing was seen; never a guess.
 */
export type CallerConfidence = 'exact' | 'argv' | 'ambiguous' | 'remote' | 'unknown'

/**
 * Whether a client of the API is behind an exec, known or not. `seen`: one is. `none`: it is the container's health
 * check to the letter, every request to the engine's socket was seen and none asked for it, so that it is the engine's
 * own doing. `unclear`: requests are not seen here, one was lost or not whole, one for an exec of the same container
 * cannot be told from this, or it is nothing that the engine runs of itself.
 */
export type ClientEvidence = 'seen' | 'none' | 'unclear'

export type Caller = {
  confidence: CallerConfidence
  client: ClientEvidence
  /** The client; null where none is known. */
  process: CallerProcess | null
  /** The container that the client sits in; null for the host. */
  container: Container | null
  /** `remote` only: address and port of the client; else empty. */
  address: string
}

export type CallerProcess = {
  pid: number
  uid: number
  /** Names of the host's users; the number as text where there is no name. */
  user: string
  /** Who logged in, whatever became of the rights since (/proc/PID/loginuid); empty where nobody did. */
  loginUser: string
  exe: string
  argv: readonly string[]
  /** Its parent, that one's parent and so on: up to sshd, cron, a shell, a container's init. */
  ancestors: readonly { pid: number; exe: string; argv: readonly string[] }[]
}

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
    /** Gives capabilities to who runs it. */
    hasCapabilities: boolean
  } | null
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

export type EnteringProcess = Pick<Process, 'pid' | 'uid' | 'exe' | 'argv'> & {
  /** The container that it is in itself; null for the host. */
  containerId: string | null
}

/** What a container used at one moment, against what it may use. Counters count from the container's start. */
export type ResourceSample = {
  kind: 'resources'
  time: number
  container: Container
  memory: {
    /** Usage less the page cache that can go at once (`inactive_file`). */
    workingSetBytes: number
    /** Null when there is none. */
    limitBytes: number | null
    /** In use; null where the kernel does not count it. */
    swapBytes: number | null
    /** Processes killed for want of memory; null where the kernel does not tell. */
    oomKills: number | null
  }
  cpu: {
    usageSeconds: number
    /** Null without a quota. */
    quotaCores: number | null
    periods: number
    throttledPeriods: number
    throttledSeconds: number
  }
  pids: {
    current: number
    limit: number | null
    /** Forks refused because of a limit; null where the kernel does not tell. */
    refusedForks: number | null
  }
  pressure: { cpu: Stall | null; memory: Stall | null; io: Stall | null }
  /** Over all devices; null where the kernel does not count it. */
  blockIo: { readBytes: number; writtenBytes: number } | null
}

/**
 * For how long processes had to wait for a resource: `some` while at least one waited, `full` while all did
 * (PSI, Documentation/accounting/psi.rst). Null in a sample where the kernel does not tell.
 */
export type Stall = { someSeconds: number; fullSeconds: number | null }

export type RuntimeFileChange =
  | 'found' // baseline: seen at start, or for the first time
  | 'written'
  | 'replaced'
  | 'removed'
  | 'attributes' // owner or mode

/** Something happened to a file that runs when Docker starts a container. */
export type RuntimeFileObservation = {
  kind: 'runtime-file'
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
}

export type FileState = {
  device: number
  inode: number
  sizeBytes: number
  /** Permission bits with setuid and its kin. */
  mode: number
  uid: number
  gid: number
  /** Lower-case hexadecimal. */
  sha256: string
}

export type Writer = { pid: number; uid: number | null; exe: string; argv: readonly string[] }

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
