import type { FileOrigin, ProgramFile } from '../../../model/observation.ts'
import type { KnownProcess } from '../table/known-process.ts'
import { type AtExec } from '../table/known-process.ts'

export type RecordedFile = {
  /** Null where the record alone cannot decide it. */
  origin: FileOrigin | null
  status: NonNullable<ProgramFile['status']>
}

type Executed = Pick<KnownProcess, 'exeDevice' | 'rootDevice'> & {
  exe: string
  atExec: AtExec
  /** Superblock of the container's root, 0 where unknown. */
  containerRoot: number
  isRoot: boolean
  /** Effective capabilities that count in the container. */
  capabilities: number
}

/** Describes a program's file from its exec record. */
export function fileAtExec(executed: Executed): RecordedFile {
  const { owner, mode } = executed.atExec
  return {
    origin: originAtExec(executed),
    status: { owner, mode, hasCapabilities: givesCapabilities(executed) },
  }
}

function originAtExec({ exe, exeDevice, rootDevice, containerRoot, atExec }: Executed): FileOrigin | null {
  if (exe.startsWith(memoryFile)) return 'memory'
  if (temporary.has(atExec.magic)) return 'tmpfs'
  const root = containerRoot || rootDevice
  if (root === 0) return null
  if (exeDevice === root) {
    // Other storage drivers share one file system between images, containers and volumes.
    if (atExec.magic !== OVERLAYFS_SUPER_MAGIC) return null
    return atExec.inUpper ? 'container' : 'image'
  }
  // A root of its own inside the container: chroot(2), or a container in the container.
  return exeDevice === rootDevice ? null : 'volume'
}

/**
 * Without root, capabilities after an exec are the file's or ambient, and never both (`cap_bprm_creds_from_file` of
 * security/commoncap.c). Root has them anyway: null, because the record does not show the file's.
 */
function givesCapabilities({ isRoot, capabilities, atExec }: Executed): boolean | null {
  return isRoot ? null : capabilities !== 0 && !atExec.hasAmbientCapabilities
}

/** How the path of a file made by memfd_create(2) starts. */
export const memoryFile = '/memfd:'

export const OVERLAYFS_SUPER_MAGIC = 0x79_4c_76_30
const TMPFS_MAGIC = 0x01_02_19_94
const RAMFS_MAGIC = 0x85_84_58_f6
const temporary: ReadonlySet<number> = new Set([TMPFS_MAGIC, RAMFS_MAGIC])
