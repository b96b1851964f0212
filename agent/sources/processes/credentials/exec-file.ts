import type { FileOrigin, ProgramFile } from '../../../model/observation.ts'
import type { KnownProcess } from '../table/known-process.ts'
import { type AtExec } from '../table/known-process.ts'

export type RecordedFile = {
  /** Null if the record alone is not enough to determine it. */
  origin: FileOrigin | null
  status: NonNullable<ProgramFile['status']>
}

type Executed = Pick<KnownProcess, 'exeDevice' | 'rootDevice'> & {
  exe: string
  atExec: AtExec
  /** Superblock of the container's root, 0 where unknown. */
  containerRoot: number
  isRoot: boolean
  /** Effective capabilities that apply in the container. */
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
  if (temporaryFileSystems.has(atExec.magic)) return 'tmpfs'
  const root = containerRoot || rootDevice
  if (root === 0) return null
  if (exeDevice === root) {
    // Other storage drivers share one file system between images, containers and volumes.
    if (atExec.magic !== OVERLAYFS_SUPER_MAGIC) return null
    return atExec.inUpper ? 'container' : 'image'
  }
  // The process has another root inside the container: chroot(2), or a nested container.
  return exeDevice === rootDevice ? null : 'volume'
}

/**
 * Without root, capabilities after an exec come either from the file or from the ambient set, never from both
 * (`cap_bprm_creds_from_file` of security/commoncap.c). Null for root, which has them anyway: the record does not show
 * the file's capabilities.
 */
function givesCapabilities({ isRoot, capabilities, atExec }: Executed): boolean | null {
  return isRoot ? null : capabilities !== 0 && !atExec.hasAmbientCapabilities
}

/** Path prefix of a file created by memfd_create(2). */
export const memoryFile = '/memfd:'

export const OVERLAYFS_SUPER_MAGIC = 0x79_4c_76_30
const TMPFS_MAGIC = 0x01_02_19_94
const RAMFS_MAGIC = 0x85_84_58_f6
const temporaryFileSystems: ReadonlySet<number> = new Set([TMPFS_MAGIC, RAMFS_MAGIC])
