import { closeSync } from 'node:fs'
import { createMap, mapTypes } from '../linux/bpf.ts'
import { mapShared, pageSize } from '../linux/memory.ts'

/** Takes one record; `bytes` may be the kernel's own memory, to be copied from before the call returns. */
export type OnRecord = (bytes: Buffer, offset: number, length: number) => void

export type RingReader = {
  /** Reads what there is, for at most some milliseconds; true when there is more. */
  drain: (onRecord: OnRecord, maxMs: number) => boolean
  /** How many bytes were read since the ring was made. */
  taken: () => number
}

export type Ring = RingReader & { fd: number; close(): void }

/** Makes a BPF ring buffer of a power of two bytes. It is read through mapped memory, without a system call. */
export function openRing(size: number): Ring {
  const fd = createMap({ type: mapTypes.ringBuffer, keySize: 0, valueSize: 0, entries: size })
  const page = pageSize()
  const consumer = mapShared(fd, 0, page, 'write')
  // The kernel would map the data twice in a row, so that no record wraps, at twice the resident memory.
  const producer = mapShared(fd, page, page + size, 'read')
  const reader = ringReader({
    consumer: new BigInt64Array(consumer.memory, 0, 1),
    producer: new BigInt64Array(producer.memory, 0, 1),
    data: Buffer.from(producer.memory, page, size),
  })
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
      if (!isOpen) unmap()
    }
  }

  function unmap(): void {
    consumer.unmap()
    producer.unmap()
    closeSync(fd)
  }

  return {
    fd,
    drain,
    taken: reader.taken,
    close() {
      if (!isOpen) return
      isOpen = false
      // What a record leads to may be that nobody wants the next, while the memory is still read.
      if (!isDraining) unmap()
    },
  }
}

/** Positions count bytes from the beginning and never turn back; the kernel moves the producer's, we the consumer's. */
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
            // A record that is still being written: its commit wakes us again, if the kernel knows that we wait for it.
            giveBack()
            header = Atomics.load(headers, offset / 4)
            if ((header & BUSY) !== 0) return false
          }
          const length = header & LENGTH
          if (length > size - HEADER) throw new Error('a ring buffer of the kernel makes no sense')
          const start = offset + HEADER
          position += Math.ceil((HEADER + length) / 8) * 8
          if ((header & DISCARDED) === 0) deliver(onRecord, start, length)
          if (count % together !== together - 1) continue
          giveBack()
          if (performance.now() > until) return true
        }
        giveBack()
      }
    } finally {
      giveBack()
    }
  }

  function giveBack(): void {
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

// The clock and the position that the kernel sees cost as much as a small record does.
const together = 16

const HEADER = 8
const BUSY = 1 << 31
const DISCARDED = 1 << 30
const LENGTH = ~(BUSY | DISCARDED)
