import { arch } from 'node:process'
import { messageOf } from '../lib/errors.ts'
import { libc, SystemCallError } from './libc.ts'
import { addressOf } from './memory.ts'

/** Map types in use (`enum bpf_map_type` of linux/bpf.h). */
export const mapTypes = { array: 2, perCpuArray: 6, lruHash: 9, ringBuffer: 27 } as const

/** Allows an array map to be mapped into memory (BPF_F_MMAPABLE, Linux 5.5). */
export const mappable = 1 << 10

export type MapShape = { type: number; keySize: number; valueSize: number; entries: number; flags?: number }

/** Creates a map and returns its descriptor. */
export function createMap(shape: MapShape): number {
  try {
    return tryCreateMap(shape)
  } catch (error) {
    // Before Linux 5.11 maps count against the locked memory limit, 64 KiB by default.
    if (!(error instanceof SystemCallError) || error.code !== 'EPERM') throw error
    raiseLockedMemory()
    return tryCreateMap(shape)
  }
}

/** Reads a map's value into `value`; false if the key does not exist. */
export function readMap(map: number, key: Buffer, value: Buffer): boolean {
  const attributes = Buffer.alloc(32)
  attributes.writeUInt32LE(map, 0)
  attributes.writeBigUInt64LE(addressOf(key), 8)
  attributes.writeBigUInt64LE(addressOf(value), 16)
  try {
    bpf(BPF_MAP_LOOKUP_ELEM, attributes, key, value)
    return true
  } catch (error) {
    if (error instanceof SystemCallError && error.code === 'ENOENT') return false
    throw error
  }
}

/** Program types in use (`enum bpf_prog_type` of linux/bpf.h). */
export const programTypes = { rawTracepoint: 17, cgroupSysctl: 23 } as const

/** Loads a program, which the kernel verifies and compiles; on failure the error includes the verifier's reasons. */
export function loadProgram(type: number, name: string, instructions: Buffer): number {
  try {
    return tryLoadProgram(type, name, instructions, null)
  } catch (error) {
    const log = Buffer.alloc(1 << 20)
    try {
      return tryLoadProgram(type, name, instructions, log)
    } catch {
      const end = log.indexOf(0)
      const reasons = log.toString('latin1', Math.max(0, end - 500), end).trim()
      throw new Error(`the kernel rejected the program ${name}: ${reasons || messageOf(error)}`, {
        cause: error,
      })
    }
  }
}

/** Attaches a program to a raw tracepoint until the returned descriptor is closed. */
export function attachRawTracepoint(tracepoint: string, program: number): number {
  const name = Buffer.from(`${tracepoint}\0`)
  const attributes = Buffer.alloc(16)
  attributes.writeBigUInt64LE(addressOf(name), 0)
  attributes.writeUInt32LE(program, 8)
  return bpf(BPF_RAW_TRACEPOINT_OPEN, attributes, name)
}

/**
 * Runs a program at every sysctl access by a process in a cgroup v2 or its descendants, in addition to programs
 * already attached, until the returned descriptor is closed. It is a link, so it is detached when the daemon exits
 * for any reason.
 */
export function attachCgroupSysctl(cgroup: number, program: number): number {
  const attributes = Buffer.alloc(16)
  attributes.writeUInt32LE(program, 0)
  attributes.writeUInt32LE(cgroup, 4)
  attributes.writeUInt32LE(BPF_CGROUP_SYSCTL, 8)
  return bpf(BPF_LINK_CREATE, attributes)
}

/** How often a program was skipped because it was already running on that processor (Linux 5.12; 0 before). */
export function missedRuns(program: number): number {
  const info = Buffer.alloc(PROG_INFO_SIZE)
  const attributes = Buffer.alloc(16)
  attributes.writeUInt32LE(program, 0)
  attributes.writeUInt32LE(info.length, 4)
  attributes.writeBigUInt64LE(addressOf(info), 8)
  bpf(BPF_OBJ_GET_INFO_BY_FD, attributes, info)
  return Number(info.readBigUInt64LE(PROG_INFO_RECURSION_MISSES))
}

// Commands and structures of include/uapi/linux/bpf.h.
const BPF_MAP_CREATE = 0
const BPF_MAP_LOOKUP_ELEM = 1
const BPF_PROG_LOAD = 5
const BPF_OBJ_GET_INFO_BY_FD = 15
const BPF_RAW_TRACEPOINT_OPEN = 17
const BPF_LINK_CREATE = 28 // Linux 5.7
const BPF_CGROUP_SYSCTL = 18
const PROG_INFO_RECURSION_MISSES = 208
const PROG_INFO_SIZE = 216

function tryCreateMap({ type, keySize, valueSize, entries, flags = 0 }: MapShape): number {
  const attributes = Buffer.alloc(20)
  for (const [index, field] of [type, keySize, valueSize, entries, flags].entries()) {
    attributes.writeUInt32LE(field, index * 4)
  }
  return bpf(BPF_MAP_CREATE, attributes)
}

function tryLoadProgram(type: number, name: string, instructions: Buffer, log: Buffer | null): number {
  // Helpers that read kernel memory are available to programs under this license only.
  const license = Buffer.from('GPL\0')
  const attributes = Buffer.alloc(64)
  attributes.writeUInt32LE(type, 0)
  attributes.writeUInt32LE(instructions.length / 8, 4)
  attributes.writeBigUInt64LE(addressOf(instructions), 8)
  attributes.writeBigUInt64LE(addressOf(license), 16)
  if (log !== null) {
    attributes.writeUInt32LE(1, 24)
    attributes.writeUInt32LE(log.length, 28)
    attributes.writeBigUInt64LE(addressOf(log), 32)
  }
  // At most 15 bytes, shown by bpftool.
  attributes.write(name.slice(0, 15), 48, 'latin1')
  return bpfRetrying(BPF_PROG_LOAD, attributes, instructions, license, log)
}

const syscallNumbers: Readonly<Record<string, number>> = { x64: 321, arm64: 280 }

const syscall = libc.func('long syscall(long number, long command, void *attributes, long size)') as (
  number: number,
  command: number,
  attributes: Buffer,
  size: number,
) => number

// Addresses in the attributes do not prevent garbage collection, so their buffers are referenced here during the
// call.
const held = new Set<readonly (Buffer | null)[]>()

function bpf(command: number, attributes: Buffer, ...pointedTo: readonly (Buffer | null)[]): number {
  const number = syscallNumbers[arch]
  if (number === undefined) throw new Error(`eBPF is not supported on ${arch}`)
  held.add(pointedTo)
  const result = syscall(number, command, attributes, attributes.length)
  held.delete(pointedTo)
  if (result < 0) throw new SystemCallError('bpf')
  return result
}

/** A signal interrupts the verifier with EAGAIN; libbpf retries as often (PROG_LOAD_ATTEMPTS). */
function bpfRetrying(command: number, attributes: Buffer, ...pointedTo: readonly (Buffer | null)[]): number {
  for (let attempt = 1; ; attempt++) {
    try {
      return bpf(command, attributes, ...pointedTo)
    } catch (error) {
      const isInterrupted = error instanceof SystemCallError && error.code === 'EAGAIN'
      if (!isInterrupted || attempt === 5) throw error
    }
  }
}

const setrlimit = libc.func('int setrlimit(int resource, void *limits)') as (
  resource: number,
  limits: BigUint64Array,
) => number

const RLIMIT_MEMLOCK = 8
const RLIM_INFINITY = 2n ** 64n - 1n

/** Without CAP_SYS_RESOURCE this has no effect, and creating the map fails again. */
function raiseLockedMemory(): void {
  setrlimit(RLIMIT_MEMLOCK, new BigUint64Array([RLIM_INFINITY, RLIM_INFINITY]))
}
