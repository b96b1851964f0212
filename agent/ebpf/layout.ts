/**
 * What records have in common. Each program declares the rest of its record next to its code. Byte offsets from the
 * record's start; all numbers are little-endian, as on every supported processor.
 */

/** The header of every record, written by `writeHeader`. */
export const common = {
  type: 0, // u32, numbered by the programs that share a ring
  pid: 4, // u32
  time: 8, // u64, nanoseconds since boot
  startTime: 16, // u64, nanoseconds since boot
  parentPid: 24, // u32
  uid: 28, // u32
  euid: 32, // u32
} as const

/** The fields of records that contain the cgroup of the process, written by `readCgroups` and `readPath`. */
export const cgroupFields = {
  cgroupId: 72, // u64
  budgetKey: 80, // u64, the cgroup id of the container, or 0
  flags: 116, // u32, `cgroupTruncated` and the flags of the program
  cgroupEnd: 132, // u32, counted from the tail
  /** Names, each with a NUL: first those of the cgroup, the leaf first. */
  tail: 144,
} as const

/** Flag: the cgroup has more names than fit. */
export const cgroupTruncated = 1

/** How far the cgroup's names may extend in the tail; they are cut at whole names. */
export const maxCgroupEnd = 1_536

/** NAME_MAX of linux/limits.h and the NUL. */
export const nameBytes = 256

/** A power of two above every end in the tail, which lets the verifier prove that writes stay in the buffer. */
export const tailMask = 8_191

/** How many bytes of other data a program may copy behind the names. */
export const maxDataBytes = 2_048

/** Size of the buffer in which a program builds a record. */
export const scratchBytes = cgroupFields.tail + tailMask + 1 + maxDataBytes

/** Offsets of u64 counters: events over budget, then one for each program's records dropped by a full ring. */
export const counters = { overBudget: 0, ringFull: 8 } as const

/** How many programs have a counter. */
export const maxPrograms = 7

/** A container's budget entry; u64 each. */
export const budget = { windowStart: 0, ordinary: 8, privileged: 16, dropped: 24, length: 32 } as const
