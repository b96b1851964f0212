import type { ProcessKey } from '../../../model/process-key.ts'
import type { Gain, Namespaces, Process, ProcessChange, EnteredOrigin } from '../../../model/observation.ts'
import { type Cgroup, rootCgroup } from '../attribution/cgroup.ts'

/** A process in the table; cheap to create, because a busy host starts thousands per second. */
export type KnownProcess = {
  readonly pid: number
  /**
   * Clock ticks of 10 ms since boot, as in /proc/PID/stat; together with the pid it identifies a process until the
   * next boot.
   */
  readonly startTicks: number
  /** The current parent; differs from the creator for an orphan. */
  parentPid: number
  /** The process that created it by fork or clone, whatever its parent is now; 0 where unknown. */
  readonly creatorPid: number
  readonly creatorStartTicks: number
  uid: number
  euid: number
  gid: number
  /** Effective capabilities: 41 bits, which a number holds. */
  capabilities: number
  namespaces: Namespaces
  cgroup: Cgroup
  /** Decodes on each call, because most programs are never read. A forked child shares its parent's. */
  program: () => Program
  /** Superblock of its executable, as in `ExecutableFile`; 0 where unknown. Available without decoding the program. */
  exeDevice: number
  /** Superblock of its root directory at its exec; 0 where unknown. */
  rootDevice: number
  /** The kernel's record of its executable; null where only /proc was read. */
  atExec: AtExec | null
  membership: Membership | null
  /** It was, or may have been, root at some time since its exec, so it may be able to become root again. */
  mayRegainRoot: boolean
  /** Its state before its effective uid became root: by an exec, which is reported after that, or by itself. */
  beforeRoot: PriorState | null
  /** How it or an ancestor gained root or capabilities in its container; null where none did. */
  gain: Gain | null
  exit: Exit | null
  /** The previous process with this pid, which ended recently. */
  older: KnownProcess | undefined
}

/** A snapshot of a process. */
export type SeenProcess = Omit<
  KnownProcess,
  | 'creatorPid'
  | 'creatorStartTicks'
  | 'membership'
  | 'mayRegainRoot'
  | 'beforeRoot'
  | 'gain'
  | 'exit'
  | 'older'
>

export type Ids = Pick<KnownProcess, 'uid' | 'euid' | 'gid' | 'capabilities'>

/** What a process runs. */
export type Program = Pick<
  Process,
  | 'comm'
  | 'exe'
  | 'exeTruncated'
  | 'exeFile'
  | 'argv'
  | 'argvTruncated'
  | 'workingDirectory'
  // Never set when only /proc was read.
  | 'workingDirectoryOutside'
>

/** The container a process belongs to, and how it entered; all its descendants share the object. */
export type Membership = {
  /** The container id; corrected until the engine has reported which container it knows. */
  id: string
  /** A step of an image build, not a container. */
  build: boolean
  /** The process that entered: the oldest ancestor in the container. */
  entry: ProcessKey & { parentPid: number }
  /** The container had no processes before. */
  first: boolean
  /** The number of the container's user namespace; its processes may create nested ones. */
  userNamespace: number
  /** Found in the container, not seen entering. */
  found: boolean
  /** The entering process kept the host's mounts, as with `nsenter --pid`. */
  hadHostMounts: boolean
  brought: EntryAncestry
}

/** Milliseconds since boot; the code is wait(2)'s, or null when the exit itself was not seen. */
export type Exit = { sinceBoot: number; code: ExitCode | null }

/** Exit status, or the signal that ended the process. */
export type ExitCode = { status: number; signal: number }

/** For a process whose program is not known yet. */
export const noProgram: Program = {
  comm: '',
  exe: '',
  exeTruncated: false,
  exeFile: null,
  argv: [],
  argvTruncated: false,
  workingDirectory: '',
}

/** For a process of which only the pid and start time are known. */
export const unknownProcess: Omit<SeenProcess, keyof ProcessKey> = {
  parentPid: 0,
  uid: 0,
  euid: 0,
  gid: 0,
  capabilities: 0,
  namespaces: { mount: 0, pid: 0, user: 0 },
  cgroup: rootCgroup,
  program: () => noProgram,
  exeDevice: 0,
  rootDevice: 0,
  atExec: null,
}

/** A new process of the table. */
export function knownProcess(seen: SeenProcess, creator: ProcessKey | undefined): KnownProcess {
  const { pid, startTicks, parentPid, uid, euid, gid, capabilities } = seen
  const { namespaces, cgroup, program, exeDevice, rootDevice, atExec } = seen
  return {
    pid,
    startTicks,
    parentPid,
    creatorPid: creator?.pid ?? 0,
    creatorStartTicks: creator?.startTicks ?? 0,
    uid,
    euid,
    gid,
    capabilities,
    namespaces,
    cgroup,
    program,
    exeDevice,
    rootDevice,
    atExec,
    membership: null,
    mayRegainRoot: false,
    beforeRoot: null,
    gain: null,
    exit: null,
    older: undefined,
  }
}

/** A newly forked process, which inherits everything else from its creator. */
export function forkedProcess(
  { pid, startTicks, parentPid, uid, euid }: Omit<SeenProcess, Inherited>,
  creator: KnownProcess,
): KnownProcess {
  const { gid, capabilities, namespaces, cgroup, program, exeDevice, rootDevice, atExec } = creator
  const ids = { pid, startTicks, parentPid, uid, euid, gid, capabilities }
  const process = knownProcess(
    { ...ids, namespaces, cgroup, program, exeDevice, rootDevice, atExec },
    creator,
  )
  process.membership = creator.membership
  process.mayRegainRoot = creator.mayRegainRoot
  process.gain = creator.gain
  return process
}

type Inherited =
  | 'gid'
  | 'capabilities'
  | 'namespaces'
  | 'cgroup'
  | 'program'
  | 'exeDevice'
  | 'rootDevice'
  | 'atExec'

/** Updates a process from a new snapshot. */
export function update(process: KnownProcess, seen: SeenProcess): void {
  // A snapshot of /proc lacks the kernel's record: keep it for the same program.
  const isKnownBetter = seen.atExec === null && process.atExec !== null && runsSameFile(process, seen)
  if (!isKnownBetter) {
    process.atExec = seen.atExec
    process.exeDevice = seen.exeDevice
    process.rootDevice = seen.rootDevice
  }
  process.parentPid = seen.parentPid
  process.uid = seen.uid
  process.euid = seen.euid
  process.gid = seen.gid
  process.capabilities = seen.capabilities
  process.namespaces = seen.namespaces
  process.cgroup = seen.cgroup
  process.program = seen.program
}

function runsSameFile(known: SeenProcess, seen: SeenProcess): boolean {
  const [before, after] = [known.program().exeFile, seen.program().exeFile]
  return before !== null && before.device === after?.device && before.inode === after.inode
}

/** The change since a process was last seen; null if there is none to report. */
export function changeBetween(known: KnownProcess, seen: SeenProcess): ProcessChange | null {
  const before = known.program()
  const after = seen.program()
  const isSameProgram = before.exe === after.exe && before.argv.join('\0') === after.argv.join('\0')
  if (!isSameProgram) return 'executed'
  return known.uid === seen.uid && known.euid === seen.euid ? null : 'ids-changed'
}

/** The processes through which a process entered a container, and the id of its exec. */
export type EntryAncestry = Omit<EnteredOrigin, 'via' | 'entry'>

/**
 * The executable and credentials from the kernel's exec record. It is complete when the exec is reported: nothing has
 * to be read while the program runs.
 */
export type AtExec = {
  /** The file system's magic number (include/uapi/linux/magic.h). */
  magic: number
  /** Overlay only: the file is in the upper directory, so it was created or changed in the container. */
  inUpper: boolean
  /** Host uid. */
  owner: number
  /** Permission bits, including setuid and setgid. */
  mode: number
  /** The new program has ambient capabilities; the kernel clears them when the file itself grants privileges. */
  hasAmbientCapabilities: boolean
}

/**
 * A process's credentials. Its saved uid is unknown, so `mayRegainRoot` shows whether it may be able to regain root.
 */
export type Credentials = Pick<KnownProcess, 'uid' | 'euid' | 'capabilities' | 'mayRegainRoot'>

/** The state of a process (of the parent for a new process), copied before a change is applied. */
export type PriorState = Credentials & Pick<KnownProcess, 'membership' | 'namespaces'>
