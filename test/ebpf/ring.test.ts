import test from 'ava'
import { ringReader } from '../../agent/ebpf/ring.ts'

test('records are read in order, and their space is freed', (t) => {
  const ring = recorded(64)
  ring.write('first')
  ring.write('second!!')
  t.deepEqual(ring.read(), ['first', 'second!!'])
  t.is(ring.consumer[0], ring.producer[0])
  t.deepEqual(ring.read(), [])
})

test('a record that wraps around the end is joined, wherever it is split', (t) => {
  for (let shift = 0; shift < 8; shift++) {
    const ring = recorded(64)
    for (let filled = 0; filled < shift; filled++) {
      ring.write('')
      ring.read()
    }
    for (const text of ['abcdefghijklmnopqrstuvw', 'ABCDEFGHIJKLMNOPQRSTUVW', '0123456789']) {
      ring.write(text)
      t.deepEqual(ring.read(), [text], `from ${shift * 8}`)
    }
  }
})

test('a record that is still being written delays those after it until it is committed', (t) => {
  const ring = recorded(64)
  const commit = ring.write('unfinished', BUSY)
  ring.write('behind')
  t.deepEqual(ring.read(), [])
  commit()
  t.deepEqual(ring.read(), ['unfinished', 'behind'])
})

test('a discarded record is skipped', (t) => {
  const ring = recorded(64)
  ring.write('given up', DISCARDED)
  ring.write('kept')
  t.deepEqual(ring.read(), ['kept'])
})

test('an impossible length is an error, not an out-of-bounds read', (t) => {
  const ring = recorded(64)
  ring.write('x')
  ring.data.writeUInt32LE(1_000_000, 0)
  t.throws(() => ring.read(), { message: /the ring buffer is corrupt/ })
})

test('a callback that throws loses only its record', (t) => {
  const ring = recorded(64)
  ring.write('bad')
  ring.write('good')
  t.throws(
    () =>
      ring.reader.drain(() => {
        throw new Error('bad')
      }, 10),
    { message: 'bad' },
  )
  t.deepEqual(ring.read(), ['good'])
})

const BUSY = 0x8000_0000
const DISCARDED = 0x4000_0000

/** A ring in our own memory, written as the kernel writes it. */
function recorded(size: number) {
  const data = Buffer.from(new ArrayBuffer(size))
  const consumer = new BigInt64Array(1)
  const producer = new BigInt64Array(1)
  const reader = ringReader({ consumer, producer, data })

  function write(text: string, flags = 0): () => void {
    const start = Number(producer[0])
    const at = start % size
    data.writeUInt32LE((text.length | flags) >>> 0, at)
    for (const [index, byte] of Buffer.from(text, 'latin1').entries()) data[(at + 8 + index) % size] = byte
    producer[0] = BigInt(start + Math.ceil((8 + text.length) / 8) * 8)
    return () => data.writeUInt32LE(text.length, at)
  }

  function read(): string[] {
    const records: string[] = []
    reader.drain(
      (bytes, offset, length) => records.push(bytes.toString('latin1', offset, offset + length)),
      10,
    )
    return records
  }

  return { data, consumer, producer, reader, write, read }
}
