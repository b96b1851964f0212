import { closeSync } from 'node:fs'
import { createMap, mappable, mapTypes } from '../linux/bpf.ts'
import { mapShared, pageSize } from '../linux/memory.ts'

/** What a program in the kernel needs for as long as it is at work, given back together. */
export type KeptOpen = {
  /** Takes over a descriptor, and returns it. */
  fd(fd: number): number
  /** Takes over anything else, by what gives it back. */
  also(close: () => void): void
  /** The last first, each once. */
  close(): void
}

/** Begins with nothing. */
export function keptOpen(): KeptOpen {
  const closers: (() => void)[] = []
  return {
    fd(fd) {
      closers.push(() => closeSync(fd))
      return fd
    },
    also: (close) => void closers.push(close),
    close() {
      for (const undo of closers.splice(0).toReversed()) undo()
    },
  }
}

/** Eight counters of 64 bits that programs count in. */
export type Counters = {
  fd: number
  /** By its offset in bytes, and without a system call; 0 once they are given back. */
  count(offset: number): number
}

/** They are gone with what keeps them. */
export function openCounters(kept: KeptOpen): Counters {
  const fd = kept.fd(
    createMap({ type: mapTypes.array, keySize: 4, valueSize: 64, entries: 1, flags: mappable }),
  )
  const cells = mapShared(fd, 0, pageSize(), 'read')
  let counts: BigUint64Array | null = new BigUint64Array(cells.memory, 0, 8)
  kept.also(() => {
    counts = null
    cells.unmap()
  })
  return { fd, count: (offset) => Number(counts?.[offset / 8] ?? 0n) }
}
