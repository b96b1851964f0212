import { closeSync } from 'node:fs'
import { createMap, mappable, mapTypes } from '../linux/bpf.ts'
import { mapShared, pageSize } from '../linux/memory.ts'

/** Eight 64-bit counters that programs increment. */
export type Counters = {
  fd: number
  /** Reads the counter at a byte offset, without a system call; 0 after closing. */
  count(offset: number): number
}

/** The counters are closed together with `resources`. */
export function openCounters(resources: DisposableStack): Counters {
  const map = createMap({ type: mapTypes.array, keySize: 4, valueSize: 64, entries: 1, flags: mappable })
  const fd = resources.adopt(map, closeSync)
  const cells = mapShared(fd, 0, pageSize(), 'read')
  let counts: BigUint64Array | null = new BigUint64Array(cells.memory, 0, 8)
  resources.defer(() => {
    counts = null
    cells.unmap()
  })
  return { fd, count: (offset) => Number(counts?.[offset / 8] ?? 0n) }
}
