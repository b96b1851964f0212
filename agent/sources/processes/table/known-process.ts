import type { ProcessKey } from '../../../model/process-key.ts'
import type { Gain, Namespaces, Process, ProcessChange, EnteredOrigin } from '../../../model/observation.ts'
import { type Cgroup, rootCgroup } from '../attribution/cgroup.ts'
/** A process as the table holds it; cheap to make, because a busy host makes thousands in a second. */
export type KnownProcess = {
  readonly pid: number
  /** Clock ticks of 10 ms since boot, as in /proc/PID/stat; with the pid it names one process until the next boot. */
  readonly startTicks: number
  /** The parent now; an orphan's is another than the one that made it. */
  parentPid: number
  /** Who made it by fork or clone, whoever its parent is now; 0 where unknown. */
  readonly makerPid: number
  readonly makerStartTicks: number
  uid: number
  euid: number
  gid: number
  /** Effective capabilities: 41 bits, which a number holds. */
  capabilities: number
  namespaces: Namespaces
  cgroup: Cgroup
  /** Decodes each time it is asked: most programs of a host interest nobody. A fork shares its parent's. */
  program: () => Program
  /** Superblock of the file it runs, as in `ExecutableFile`; 0 where unknown. Known without decoding the rest. */
  exeDevice: number
  /** Superblock of its root directory as it ran its program; 0 where unknown. */
  rootDevice: number
  /** The kernel's own account of the file it runs; null where only /proc was read. */
  atExec: AtExec | null
  membership: Membership | null
  /** It was root at a time since it ran its program, or may have been: it may have kept the right to be it again. */
  heldRoot: boolean
  /** What it was before its effective uid became root's: by an exec, which is told after that, or by itself. */
  beforeRoot: Earlier | null
  /** How it or an ancestor came to root or capabilities in its container; null where none did. */
  gain: Gain | null
  exit: Exit | null
  /** Who had the pid before and ended a moment ago. */
  older: KnownProcess | undefined
}

/** What can be seen of a process at one moment. */
export type SeenProcess = Omit<
  KnownProcess,
  'makerPid' | 'makerStartTicks' | 'membership' | 'heldRoot' | 'beforeRoot' | 'gain' | 'exit' | 'older'
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
  // Never set by what only reads /proc.
  | 'workingDirectoryOutside'
>

/** That a process belongs to a container, and how it got in; its descendants share the object for ever. */
export type Membership = {
  /** Which container; corrected while the engine has yet to say which it knows. */
  id: string
  /** A step of an image build: no container of the engine. */
  build: boolean
  /** The first of the line in the container. */
  entry: ProcessKey & { parentPid: number }
  /** Nobody was in the container before. */
  first: boolean
  /** The container's own, by number; its processes may make others inside. */
  userNamespace: number
  /** Found there, not seen to enter. */
  found: boolean
  /** The first of the line kept the host's mounts as it entered; `nsenter --pid` does. */
  hadHostMounts: boolean
  brought: Brought
}

/** Milliseconds since boot; the code is wait(2)'s, or null when the exit itself was not seen. */
export type Exit = { sinceBoot: number; code: ExitCode | null }

/** Exit status, or the signal that ended the process. */
export type ExitCode = { status: number; signal: number }

/** For what is known of a process before its program is. */
export const noProgram: Program = {
  comm: '',
  exe: '',
  exeTruncated: false,
  exeFile: null,
  argv: [],
  argvTruncated: false,
  workingDirectory: '',
}

/** For a process of which nothing was seen but that it is there. */
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

/** A process as it enters the table. */
export function knownProcess(seen: SeenProcess, maker: ProcessKey | undefined): KnownProcess {
  const { pid, startTicks, parentPid, uid, euid, gid, capabilities } = seen
  const { namespaces, cgroup, program, exeDevice, rootDevice, atExec } = seen
  return {
    pid,
    startTicks,
    parentPid,
    makerPid: maker?.pid ?? 0,
    makerStartTicks: maker?.startTicks ?? 0,
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
    heldRoot: false,
    beforeRoot: null,
    gain: null,
    exit: null,
    older: undefined,
  }
}

/** A process that another has just made: what it does not bring with it, it has from its maker. */
export function inheritor(
  { pid, startTicks, parentPid, uid, euid }: Omit<SeenProcess, Inherited>,
  maker: KnownProcess,
): KnownProcess {
  const { gid, capabilities, namespaces, cgroup, program, exeDevice, rootDevice, atExec } = maker
  const ids = { pid, startTicks, parentPid, uid, euid, gid, capabilities }
  const process = knownProcess({ ...ids, namespaces, cgroup, program, exeDevice, rootDevice, atExec }, maker)
  process.membership = maker.membership
  process.heldRoot = maker.heldRoot
  process.gain = maker.gain
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

/** Takes over how a process was seen now. */
export function update(process: KnownProcess, seen: SeenProcess): void {
  // /proc does not know what the kernel recorded about the same program.
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

/** What has become of a process since it was last seen; null for nothing that is told. */
export function changeBetween(known: KnownProcess, seen: SeenProcess): ProcessChange | null {
  const before = known.program()
  const after = seen.program()
  const isSameProgram = before.exe === after.exe && before.argv.join('\0') === after.argv.join('\0')
  if (!isSameProgram) return 'executed'
  return known.uid === seen.uid && known.euid === seen.euid ? null : 'ids-changed'
}

/** What is known of who brought a process into a container. */
export type Brought = Omit<EnteredOrigin, 'via' | 'entry'>

/**
 * What the kernel's exec record says about the program's file and credentials. It is complete when the exec is
 * reported: nothing has to be read while the program runs.
 */
export type AtExec = {
  /** The file system's magic number (include/uapi/linux/magic.h). */
  magic: number
  /** Overlay only: the file is in the upper directory, so it was created or changed in the container. */
  inUpper: boolean
  /** As the host counts it. */
  owner: number
  /** Permission bits, including setuid and setgid. */
  mode: number
  /** The new program has ambient capabilities; the kernel clears them when the file itself gives rights. */
  hasAmbientCapabilities: boolean
}

/** What a process may do, and whether it may take back root that it had: its saved uid is not known. */
export type Rights = Pick<KnownProcess, 'uid' | 'euid' | 'capabilities' | 'heldRoot'>

/** A process as it was before a change, or its parent where it is new; taken before the change is applied. */
export type Earlier = Rights & Pick<KnownProcess, 'membership' | 'namespaces'>
