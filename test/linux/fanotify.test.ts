import test, { type ExecutionContext } from 'ava'
import { array, assert, nat, oneof, property, tuple, uint8Array } from 'fast-check'
import { chmodSync, closeSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fan, fileHandle, markPath, openFanotify, readFanotify } from '../../agent/linux/fanotify.ts'
import { handleKey, parseFanotifyEvents } from '../../agent/linux/fanotify-events.ts'

const handleBytes = Buffer.from('aabbccdd11223344', 'hex')
const handle = handleKey(1, handleBytes)
const fileSystem = '0000000000000000'

test('a handle without a name is the marked object itself', (t) => {
  const bytes = eventBytes({ mask: fan.MODIFY, pid: 4242, infos: [infoBytes(1)] })
  t.deepEqual(parseFanotifyEvents(bytes), {
    events: [{ mask: fan.MODIFY, pid: 4242, subjects: [{ handle, fileSystem, name: null }] }],
    intact: true,
  })
})

test('a handle with a name is an entry of the marked directory', (t) => {
  const bytes = eventBytes({ mask: fan.MOVED_TO, pid: 7, infos: [infoBytes(2, 'runc')] })
  t.deepEqual(parseFanotifyEvents(bytes).events, [
    { mask: fan.MOVED_TO, pid: 7, subjects: [{ handle, fileSystem, name: 'runc' }] },
  ])
})

test('several events of one read are returned in order', (t) => {
  const bytes = Buffer.concat(
    [1, 2, 3].map((pid) => eventBytes({ mask: fan.ATTRIB, pid, infos: [infoBytes(1)] })),
  )
  t.deepEqual(
    parseFanotifyEvents(bytes).events.map(({ pid }) => pid),
    [1, 2, 3],
  )
})

test('an overflow has no subject', (t) => {
  const bytes = eventBytes({ mask: fan.Q_OVERFLOW, pid: 0, infos: [] })
  t.deepEqual(parseFanotifyEvents(bytes).events, [{ mask: fan.Q_OVERFLOW, pid: 0, subjects: [] }])
})

test('information of an unknown type is skipped', (t) => {
  const bytes = eventBytes({ mask: fan.DELETE, pid: 1, infos: [infoBytes(99), infoBytes(2, 'runc')] })
  t.deepEqual(parseFanotifyEvents(bytes).events[0]?.subjects, [{ handle, fileSystem, name: 'runc' }])
})

const valid = eventBytes({ mask: fan.CREATE, pid: 1, infos: [infoBytes(2, 'runc')] })

for (const [what, bytes] of Object.entries({
  'less than a header': valid.subarray(0, 20),
  'an event shorter than its header': patched(valid, (copy) => copy.writeUInt32LE(8, 0)),
  'an event of length zero': patched(valid, (copy) => copy.writeUInt32LE(0, 0)),
  'an event longer than the buffer': patched(valid, (copy) => copy.writeUInt32LE(4096, 0)),
  'an unknown version': patched(valid, (copy) => copy.writeUInt8(4, 4)),
  'metadata longer than the event': patched(valid, (copy) => copy.writeUInt16LE(4096, 6)),
  'information of length zero': patched(valid, (copy) => copy.writeUInt16LE(0, 26)),
  'information longer than the event': patched(valid, (copy) => copy.writeUInt16LE(4096, 26)),
  'a handle longer than its record': patched(valid, (copy) => copy.writeUInt32LE(4096, 36)),
  'a name without a terminator': patched(valid, (copy) => copy.fill(0x61, 52)),
})) {
  test(`${what} stops parsing, and earlier events are returned`, (t) => {
    const { events, intact } = parseFanotifyEvents(Buffer.concat([valid, bytes]))
    t.false(intact)
    t.is(events.length, 1)
  })
}

test('arbitrary bytes never throw, hang or return more events than fit', (t) => {
  const wild = uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes))
  const almostValid = array(tuple(nat(valid.length * 2 - 1), nat(255)), { maxLength: 6 }).map((edits) =>
    patched(Buffer.concat([valid, valid]), (copy) => {
      for (const [at, byte] of edits) copy.writeUInt8(byte, at)
    }),
  )
  assert(
    property(oneof(wild, almostValid), (bytes) => {
      const { events } = parseFanotifyEvents(bytes)
      return events.length <= bytes.length / 24
    }),
    { numRuns: 2000 },
  )
  t.pass()
})

test('a write, a chmod and a rename of marked files are reported with our own pid', (t) => {
  const { folder, fd } = markedFolder(t)
  const file = join(folder, 'runc')
  writeFileSync(join(folder, 'new'), 'new')
  markPath(fd, file, fan.MODIFY | fan.CLOSE_WRITE | fan.ATTRIB)
  markPath(fd, folder, fan.MOVED_TO)

  writeFileSync(file, 'written')
  chmodSync(file, 0o700)
  const own = fileHandle(file)
  renameSync(join(folder, 'new'), file)

  const events = readFanotify(fd)?.events ?? []
  t.true(events.every(({ pid }) => pid === process.pid))
  const maskOf = (subject: { handle: string; name: string | null }) =>
    events
      .filter(({ subjects }) =>
        subjects.some(({ handle: h, name }) => h === subject.handle && name === subject.name),
      )
      .reduce((mask, event) => mask | event.mask, 0)
  t.is(maskOf({ handle: own, name: null }), fan.MODIFY | fan.CLOSE_WRITE | fan.ATTRIB)
  t.is(maskOf({ handle: fileHandle(folder), name: 'runc' }) & fan.MOVED_TO, fan.MOVED_TO)
})

test('reading a marked file causes no event', (t) => {
  const { folder, fd } = markedFolder(t)
  markPath(fd, join(folder, 'runc'), fan.MODIFY | fan.CLOSE_WRITE | fan.ATTRIB)
  readFileSync(join(folder, 'runc'))
  t.is(readFanotify(fd), null)
})

test('marking a missing file fails with the reason', (t) => {
  const { folder, fd } = markedFolder(t)
  t.throws(() => markPath(fd, join(folder, 'nothing'), fan.MODIFY), { code: 'ENOENT' })
  t.throws(() => fileHandle(join(folder, 'nothing')), { code: 'ENOENT' })
})

function markedFolder(t: ExecutionContext): { folder: string; fd: number } {
  const folder = mkdtempSync(join(tmpdir(), 'tidewatch-fanotify-'))
  writeFileSync(join(folder, 'runc'), 'runc')
  const fd = openFanotify()
  t.teardown(() => {
    closeSync(fd)
    rmSync(folder, { recursive: true })
  })
  return { folder, fd }
}

/** Builds a struct fanotify_event_metadata. */
function eventBytes({ mask, pid, infos }: { mask: number; pid: number; infos: Buffer[] }): Buffer {
  const metadata = Buffer.alloc(24)
  const all = Buffer.concat([metadata, ...infos])
  all.writeUInt32LE(all.length, 0)
  all.writeUInt8(3, 4)
  all.writeUInt16LE(24, 6)
  all.writeBigUInt64LE(BigInt(mask), 8)
  all.writeInt32LE(-1, 16)
  all.writeInt32LE(pid, 20)
  return all
}

/** Builds a struct fanotify_event_info_fid with a file handle and an optional name, padded to four bytes. */
function infoBytes(type: number, name?: string): Buffer {
  const head = Buffer.alloc(20)
  const named = name === undefined ? Buffer.alloc(0) : Buffer.from(`${name}\0`)
  const padding = Buffer.alloc((4 - (named.length % 4)) % 4)
  const all = Buffer.concat([head, handleBytes, named, padding])
  all.writeUInt8(type, 0)
  all.writeUInt16LE(all.length, 2)
  all.writeUInt32LE(handleBytes.length, 12)
  all.writeInt32LE(1, 16)
  return all
}

function patched(bytes: Buffer, edit: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes)
  edit(copy)
  return copy
}
