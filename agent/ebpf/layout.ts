/**
 * Where things stand in a record of the ring: what the programs write and `decode.ts` reads. Byte offsets from
 * the record's start; all numbers are little-endian, as every processor supported here has them.
 */
export const common = {
  type: 0, // u32
  pid: 4, // u32
  time: 8, // u64, nanoseconds since boot
  startTime: 16, // u64, the same
  parentPid: 24, // u32
  uid: 28, // u32
  euid: 32, // u32
} as const

/** What a record is about. */
export const recordTypes = {
  executed: 1,
  forked: 2,
  exited: 3,
  requested: 4,
  received: 5,
  sent: 6,
  oomVictim: 7,
} as const

export const forked = { makerPid: 36, length: 40 } as const

export const exited = {
  leaderCode: 36, // u32, as wait(2) has it: of the thread that leads the process
  groupCode: 40, // u32, of exit_group(2) or a signal that ended all threads
  length: 48,
} as const

export const executed = {
  gid: 36, // u32
  capabilities: 40, // u64
  argvEnd: 48, // u32, all ends are counted from the tail
  argvBytes: 52, // u32, of all arguments, kept or not
  /** From here to the arguments stands what each exec of a program in a container says again. */
  place: 56,
  mountNamespace: 56, // u32
  pidNamespace: 60, // u32
  userNamespace: 64, // u32
  device: 68, // u32, in the kernel's own encoding
  cgroupId: 72, // u64
  budgetKey: 80, // u64, the cgroup id of the container, or 0
  inode: 88, // u64
  comm: 96, // 16 bytes
  rootDevice: 112, // u32, of the root directory, in the kernel's own encoding
  flags: 116, // u32
  magic: 120, // u32, of the program's file system
  owner: 124, // u32, of the program's file
  mode: 128, // u16, of the program's file; two bytes stay free
  cgroupEnd: 132, // u32
  exeEnd: 136, // u32
  cwdEnd: 140, // u32
  /** Cgroup names, the program's path and the working directory, both the last part first; then the arguments. */
  tail: 144,
} as const

/** What of an exec could not be read in full, and what is either so or not. */
export const flags = {
  cgroupTruncated: 1,
  exeTruncated: 2,
  cwdTruncated: 4,
  exeDeleted: 8,
  cwdDeleted: 16,
  argvUnread: 32,
  cwdOutside: 64,
  exeInUpper: 128,
  ambientCapabilities: 256,
} as const

/** How far each part of the tail may reach; a path is cut at whole names. */
export const limits = {
  cgroupEnd: 1_536,
  exeEnd: 3_072,
  cwdEnd: 4_608,
  argvBytes: 2_048,
} as const

/** NAME_MAX of linux/limits.h and the NUL. */
export const nameBytes = 256

/** What was written to a socket; its cgroup stands where an exec's does. */
export const requested = {
  textBytes: 36, // u32, 0 where it could not be read
  connection: 40, // u64
  text: executed.tail + limits.cgroupEnd,
  maxText: 256,
  length: executed.tail + limits.cgroupEnd + 256,
} as const

/** What went over a TCP connection, by its end in this process. */
export const transferred = {
  textBytes: 36, // u32, 0 where it could not be read
  connection: 40, // u64
  family: 48, // u16
  localPort: 50, // u16
  peerPort: 52, // u16, big-endian as on the wire
  localAddress: 56, // 16 bytes, of which IPv4 has 4
  peerAddress: 72, // the same
  text: 88,
  maxText: 256,
  length: 88 + 256,
} as const

/** A power of two above every end: what the verifier needs to see that a write stays in the buffer. */
export const tailMask = 8_191

/** Of the buffer in which a program puts an exec together. */
export const scratchBytes = executed.tail + tailMask + 1 + limits.argvBytes

/** Cells of the array in which programs count what they could not tell: u64 each. */
export const counters = {
  lostExecuted: 0,
  lostForked: 8,
  lostExited: 16,
  overBudget: 24,
  lostRequested: 32,
  lostVictims: 40,
} as const

/** What the kernel keeps of a container's events; u64 each. */
export const budget = { windowStart: 0, ordinary: 8, privileged: 16, dropped: 24, length: 32 } as const
