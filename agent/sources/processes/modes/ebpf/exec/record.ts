import { cgroupFields, cgroupTruncated, maxCgroupEnd, maxDataBytes } from '../../../../../ebpf/layout.ts'

/**
 * The fields of an exec record behind the common header. The tail holds the cgroup's names, the program's path and
 * the working directory, both with the last component first; then the arguments.
 */
export const executed = {
  ...cgroupFields,
  gid: 36, // u32
  capabilities: 40, // u64
  argvEnd: 48, // u32; all ends are counted from the tail
  argvBytes: 52, // u32, of all arguments, including those not recorded
  /** From here to the arguments, the content is the same for each exec of a program in a container. */
  place: 56,
  mountNamespace: 56, // u32
  pidNamespace: 60, // u32
  userNamespace: 64, // u32
  device: 68, // u32, in the kernel's internal encoding
  inode: 88, // u64
  comm: 96, // 16 bytes
  rootDevice: 112, // u32, of the root directory, in the kernel's internal encoding
  magic: 120, // u32, of the program's file system
  owner: 124, // u32, of the program's file
  mode: 128, // u16, of the program's file; two bytes are unused
  exeEnd: 136, // u32
  cwdEnd: 140, // u32
} as const

/** Which parts of an exec could not be read in full, and other properties of it. */
export const flags = {
  cgroupTruncated,
  exeTruncated: 2,
  cwdTruncated: 4,
  exeDeleted: 8,
  cwdDeleted: 16,
  argvUnread: 32,
  cwdOutside: 64,
  exeInUpper: 128,
  ambientCapabilities: 256,
} as const

/** How far each section of the tail may extend; paths are cut at whole names. */
export const limits = {
  cgroupEnd: maxCgroupEnd,
  exeEnd: 3_072,
  cwdEnd: 4_608,
  argvBytes: maxDataBytes,
} as const
