import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import type { Digest, OwnedFile, PackageManager } from './manager.ts'

/**
 * Packages of Red Hat, SUSE and related distributions: a table of headers with an index of file names (rpm 4.16 and
 * later). The older Berkeley DB and NDB databases are not read: there, no package owns any file.
 */
export function rpm(root = ''): PackageManager {
  const databases = ['/usr/lib/sysimage/rpm', '/var/lib/rpm'].map((folder) => `${root}${folder}/rpmdb.sqlite`)
  return {
    name: 'rpm',
    async ownerOf(path) {
      const database = databases.find((file) => existsSync(file))
      return database === undefined ? null : findInRpmDatabase(database, path)
    },
  }
}

/** Looks up the file name, which is the key of the index, and then compares the whole path in the header. */
function findInRpmDatabase(database: string, path: string): OwnedFile | null {
  using opened = new DatabaseSync(database, { readOnly: true, timeout: 100 })
  const select = opened.prepare(
    `SELECT p.blob AS blob, b.idx AS idx FROM Basenames b JOIN Packages p ON p.hnum = b.hnum WHERE b.key = ?`,
  )
  for (const row of select.iterate(path.slice(path.lastIndexOf('/') + 1))) {
    const { blob, idx } = row
    if (!(blob instanceof Uint8Array) || typeof idx !== 'number') continue
    const owner = fileInHeader(rpmHeader(Buffer.from(blob.buffer, blob.byteOffset, blob.length)), idx, path)
    if (owner !== null) return owner
  }
  return null
}

// rpmtag.h
const tag = {
  name: 1000,
  version: 1001,
  release: 1002,
  epoch: 1003,
  fileDigests: 1035,
  directoryIndexes: 1116,
  baseNames: 1117,
  directoryNames: 1118,
  fileDigestAlgorithm: 5011,
} as const

// PGPHASHALGO_* of rpmpgp.h; a header without one was written by rpm before 4.6.
const algorithms: Readonly<Record<number, Digest['algorithm']>> = {
  1: 'md5',
  2: 'sha1',
  8: 'sha256',
  9: 'sha384',
  10: 'sha512',
}

type Header = { texts(tag: number): string[]; numbers(tag: number): number[] }

function fileInHeader(header: Header, index: number, path: string): OwnedFile | null {
  const directory = header.texts(tag.directoryNames)[header.numbers(tag.directoryIndexes)[index] ?? -1]
  const name = header.texts(tag.baseNames)[index]
  if (directory === undefined || name === undefined || !isSamePath(directory + name, path)) return null
  const [version = ''] = header.texts(tag.version)
  const [release = ''] = header.texts(tag.release)
  const [epoch] = header.numbers(tag.epoch)
  const algorithm = algorithms[header.numbers(tag.fileDigestAlgorithm)[0] ?? 1]
  const hex = header.texts(tag.fileDigests)[index] ?? ''
  return {
    name: header.texts(tag.name)[0] ?? '',
    version: `${epoch === undefined ? '' : `${epoch}:`}${version}-${release}`,
    digest: hex === '' || algorithm === undefined ? null : { algorithm, hex: hex.toLowerCase() },
  }
}

/** Some packages still name /bin and /sbin, which are /usr/bin and /usr/sbin, or all the same directory (Fedora 42). */
function isSamePath(packed: string, path: string): boolean {
  const canonical = (one: string) => one.replace(/^(?:\/usr)?\/s?bin\//, '/usr/bin/')
  return canonical(packed) === canonical(path)
}

// A header holds the numbers of entries and bytes, 16 bytes for each entry (tag, type, offset, count; big-endian),
// then the data.
const ENTRY_BYTES = 16
const INT32 = 4
const STRING = 6
const STRING_ARRAY = 8
const I18N_STRING = 9

// A package has tens of thousands of files at most; a broken header must not keep us busy.
const MAX_COUNT = 1_000_000

/** Reads a header as the database stores it: without the magic number that it has in a package file. */
export function rpmHeader(blob: Buffer): Header {
  const count = blob.length < 8 ? 0 : blob.readUInt32BE(0)
  const data = 8 + count * ENTRY_BYTES
  const entries = new Map<number, { type: number; at: number; count: number }>()
  for (let index = 0; data <= blob.length && index < count; index++) {
    const at = 8 + index * ENTRY_BYTES
    const entry = {
      type: blob.readUInt32BE(at + 4),
      at: data + blob.readUInt32BE(at + 8),
      count: Math.min(blob.readUInt32BE(at + 12), MAX_COUNT),
    }
    entries.set(blob.readUInt32BE(at), entry)
  }

  return {
    texts(wanted) {
      const entry = entries.get(wanted)
      if (entry === undefined || ![STRING, STRING_ARRAY, I18N_STRING].includes(entry.type)) return []
      const texts: string[] = []
      for (let at = entry.at; texts.length < entry.count;) {
        const end = blob.indexOf(0, at)
        if (end < 0) break
        texts.push(blob.toString('utf8', at, end))
        at = end + 1
      }
      return texts
    },
    numbers(wanted) {
      const entry = entries.get(wanted)
      if (entry === undefined || entry.type !== INT32) return []
      const fits = Math.min(entry.count, Math.floor((blob.length - entry.at) / 4))
      return Array.from({ length: Math.max(0, fits) }, (_, index) => blob.readUInt32BE(entry.at + index * 4))
    },
  }
}
