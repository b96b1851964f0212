/** An event on a marked object, from struct fanotify_event_metadata and its information records. */
export type FanotifyEvent = {
  /** Bits of `fan`. */
  mask: number
  /** The process; 0 if the kernel does not report it, as for a process outside our pid namespace. */
  pid: number
  subjects: readonly FanotifySubject[]
  /** An open descriptor of the object, which must be closed; only in groups of `openFanotifyByDescriptor`. */
  descriptor?: number
}

export type FanotifySubject = {
  /** Equal to `fileHandle()` of the same object. */
  handle: string
  /** Equal to `fileSystemId()`; objects of two file systems can have equal handles. */
  fileSystem: string
  /** Name of the entry in the directory that `handle` identifies; null if the handle is the object itself. */
  name: string | null
}

// <linux/fanotify.h>
const METADATA_VERSION = 3
const METADATA_LENGTH = 24
const INFO_HEADER_LENGTH = 4
// Information header, file system id (8), handle_bytes (4), handle_type (4).
const HANDLE_OFFSET = 20

const withoutName = new Set([1, 3]) // FID, DFID
const withName = new Set([2, 10, 12]) // DFID_NAME, OLD_DFID_NAME, NEW_DFID_NAME

/**
 * Splits the bytes from read(2) into events. `intact` is false if an event is malformed (linux/fanotify.h); that
 * event and all later ones are then missing.
 */
export function parseFanotifyEvents(bytes: Buffer): { events: FanotifyEvent[]; intact: boolean } {
  const events: FanotifyEvent[] = []
  let at = 0
  while (at < bytes.length) {
    const record = recordAt(bytes, at)
    const event = record && parseRecord(record)
    if (!event) return { events, intact: false }
    events.push(event)
    at += record.length
  }
  return { events, intact: true }
}

function recordAt(bytes: Buffer, at: number): Buffer | null {
  if (bytes.length - at < METADATA_LENGTH) return null
  const length = bytes.readUInt32LE(at)
  if (length < METADATA_LENGTH || length > bytes.length - at) return null
  return bytes.subarray(at, at + length)
}

function parseRecord(record: Buffer): FanotifyEvent | null {
  const metadataLength = record.readUInt16LE(6)
  if (record[4] !== METADATA_VERSION) return null
  if (metadataLength < METADATA_LENGTH || metadataLength > record.length) return null
  const subjects = parseInformation(record.subarray(metadataLength))
  // The upper half of the 64-bit mask is unused, and numbers are easier to test than bigints.
  if (!subjects) return null
  const descriptor = record.readInt32LE(16)
  const event = { mask: record.readUInt32LE(8), pid: record.readInt32LE(20), subjects }
  return descriptor < 0 ? event : { ...event, descriptor }
}

function parseInformation(bytes: Buffer): FanotifySubject[] | null {
  const subjects: FanotifySubject[] = []
  let at = 0
  while (at < bytes.length) {
    if (bytes.length - at < INFO_HEADER_LENGTH) return null
    const length = bytes.readUInt16LE(at + 2)
    if (length < INFO_HEADER_LENGTH || length > bytes.length - at) return null
    const type = bytes.readUInt8(at)
    if (withName.has(type) || withoutName.has(type)) {
      const subject = parseSubject(bytes.subarray(at, at + length), withName.has(type))
      if (!subject) return null
      subjects.push(subject)
    }
    at += length
  }
  return subjects
}

function parseSubject(info: Buffer, named: boolean): FanotifySubject | null {
  if (info.length < HANDLE_OFFSET) return null
  const nameOffset = HANDLE_OFFSET + info.readUInt32LE(12)
  if (nameOffset > info.length) return null
  const handle = handleKey(info.readInt32LE(16), info.subarray(HANDLE_OFFSET, nameOffset))
  const fileSystem = info.toString('hex', INFO_HEADER_LENGTH, 12)
  if (!named) return { handle, fileSystem, name: null }
  const end = info.indexOf(0, nameOffset)
  return end < 0 ? null : { handle, fileSystem, name: info.toString('utf8', nameOffset, end) }
}

/** A file handle as text, for comparison and lookup; handles of two file systems can be equal. */
export function handleKey(type: number, bytes: Buffer): string {
  return `${type}:${bytes.toString('hex')}`
}
