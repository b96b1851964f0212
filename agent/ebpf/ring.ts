import { closeSync } from 'node:fs'
import { createMap, mapTypes } from '../linux/bpf.ts'
import { mapShared, type Mapping, pageSize } from '../linux/memory.ts'

/** Receives one record. `bytes` may be kernel memory: copy from it before returning. */
export type OnRecord = (bytes: Buffer, offset: number, length: number) => void

export type RingReader = {
  /** Reads the available records, for at most some milliseconds; true when more remain. */
  drain: (onRecord: OnRecord, maxMs: number) => boolean
  /** How many bytes have been read since the ring was created. */
  taken: () => number
}

export type Ring = RingReader & { fd: number; close(): void }

/** Creates a BPF ring buffer, whose size must be a power of two. Reading its mapped memory needs no system calls. */
export function openRing(size: number): Ring {
  using opening = new DisposableStack()
  const map = createMap({ type: mapTypes.ringBuffer, keySize: 0, valueSize: 0, entries: size })
  const fd = opening.adopt(map, closeSync)
  const page = pageSize()
  const consumer = opening.adopt(mapShared(fd, 0, page, 'write'), unmap)
  // Mapping the data twice in a row would avoid wrapped records, but double the resident memory.
  const producer = opening.adopt(mapShared(fd, page, page + size, 'read'), unmap)
  const reader = ringReader({
    consumer: new BigInt64Array(consumer.memory, 0, 1),
    producer: new BigInt64Array(producer.memory, 0, 1),
    data: Buffer.from(producer.memory, page, size),
  })
  const resources = opening.move()
  let isOpen = true
  let isDraining = false

  function drain(onRecord: OnRecord, maxMs: number): boolean {
    if (!isOpen) return false
    isDraining = true
    try {
      return (
        reader.drain((bytes, offset, length) => isOpen && onRecord(bytes, offset, length), maxMs) && isOpen
      )
    } finally {
      isDraining = false
      if (!isOpen) resources.dispose()
    }
  }

  return {
    fd,
    drain,
    taken: reader.taken,
    close() {
      isOpen = false
      // A record's callback may close the ring: the memory stays mapped until draining has ended.
      if (!isDraining) resources.dispose()
    },
  }
}

function unmap(mapping: Mapping): void {
  mapping.unmap()
}

/** Positions count bytes from the start and only grow. The kernel advances the producer, we advance the consumer. */
export type RingMemory = { consumer: BigInt64Array; producer: BigInt64Array; data: Buffer }

/** Reads a ring's memory as laid out in the kernel's bpf/ringbuf.c. */
export function ringReader({ consumer, producer, data }: RingMemory): RingReader {
  const size = data.length
  const headers = new Int32Array(data.buffer, data.byteOffset, size / 4)
  let position = Number(Atomics.load(consumer, 0))

  function drain(onRecord: OnRecord, maxMs: number): boolean {
    const until = performance.now() + maxMs
    try {
      for (;;) {
        const end = Number(Atomics.load(producer, 0))
        if (position >= end) return false
        for (let count = 0; position < end; count++) {
          const offset = position % size
          let header = Atomics.load(headers, offset / 4)
          if ((header & BUSY) !== 0) {
            // A record still being written: its commit wakes us, if the kernel sees that we have read everything
            // before it.
            publishPosition()
            header = Atomics.load(headers, offset / 4)
            if ((header & BUSY) !== 0) return false
          }
          const length = header & LENGTH
          if (length > size - HEADER)
            throw new Error('the ring buffer is corrupt: a record is longer than the ring')
          const start = offset + HEADER
          position += Math.ceil((HEADER + length) / 8) * 8
          if ((header & DISCARDED) === 0) deliver(onRecord, start, length)
          if (count % batchSize !== batchSize - 1) continue
          publishPosition()
          if (performance.now() > until) return true
        }
        publishPosition()
      }
    } finally {
      publishPosition()
    }
  }

  function publishPosition(): void {
    Atomics.store(consumer, 0, BigInt(position))
  }

  function deliver(onRecord: OnRecord, start: number, length: number): void {
    const offset = start % size
    const end = offset + length
    if (end <= size) onRecord(data, offset, length)
    else onRecord(Buffer.concat([data.subarray(offset), data.subarray(0, end - size)]), 0, length)
  }

  return { drain, taken: () => position }
}

// Reading the clock and publishing the position cost as much as a small record.
const batchSize = 16

const HEADER = 8
const BUSY = 1 << 31
const DISCARDED = 1 << 30
const LENGTH = ~(BUSY | DISCARDED)
