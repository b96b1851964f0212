import koffi from 'koffi'
import { libc, SystemCallError } from './libc.ts'

/** Memory shared with the kernel through a descriptor; accessing it after `unmap` crashes the process. */
export type Mapping = { memory: ArrayBuffer; unmap(): void }

/** Maps a descriptor's memory, so that what the kernel writes there can be read without system calls. */
export function mapShared(fd: number, offset: number, length: number, access: 'read' | 'write'): Mapping {
  const protection = access === 'read' ? PROT_READ : PROT_READ | PROT_WRITE
  const address = mmap(0n, length, protection, MAP_SHARED, fd, offset)
  if (address === MAP_FAILED) throw new SystemCallError('mmap')
  return {
    memory: koffi.view(address, length),
    unmap() {
      if (munmap(address, length) !== 0) throw new SystemCallError('munmap')
    },
  }
}

/** 4,096 bytes on most machines, 16,384 or 65,536 on some arm64 ones. */
export function pageSize(): number {
  return getpagesize()
}

/** The address of a buffer, for structures with pointers; keep the buffer referenced while it is in use. */
export function addressOf(bytes: Buffer): bigint {
  return koffi.address(bytes)
}

const PROT_READ = 1
const PROT_WRITE = 2
const MAP_SHARED = 1
const MAP_FAILED = 2n ** 64n - 1n

const mmapNumber = libc.func(
  'uintptr_t mmap(uintptr_t at, size_t length, int protection, int flags, int fd, int64_t offset)',
) as (
  at: bigint,
  length: number,
  protection: number,
  flags: number,
  fd: number,
  offset: number,
) => number | bigint

// koffi returns a number if that is exact, and a bigint otherwise.
const mmap = (...parameters: Parameters<typeof mmapNumber>): bigint => BigInt(mmapNumber(...parameters))

const munmap = libc.func('int munmap(uintptr_t at, size_t length)') as (at: bigint, length: number) => number
const getpagesize = libc.func('int getpagesize()') as () => number
