import { closeSync } from 'node:fs'
import { createMap, mappable, mapTypes } from './bpf.ts'
import { mapShared, pageSize } from './memory.ts'

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

/** Eight counters that programs count in, and that are read here without a system call; gone with what keeps them. */
export function openCounters(kept: KeptOpen): { fd: number; counts: BigUint64Array } {
  const fd = kept.fd(
    createMap({ type: mapTypes.array, keySize: 4, valueSize: 64, entries: 1, flags: mappable }),
  )
  const cells = mapShared(fd, 0, pageSize(), 'read')
  kept.also(() => cells.unmap())
  return { fd, counts: new BigUint64Array(cells.memory, 0, 8) }
}
