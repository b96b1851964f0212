import test, { type ExecutionContext } from 'ava'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { rpm, rpmHeader } from '../../../../agent/sources/runtime-files/packages/rpm.ts'
import { temporaryFolder } from '../decoy.ts'

type Entry = [tag: number, type: number, values: readonly (string | number)[]]

/** A header as rpm's database stores it (headerExport of rpm's lib/header.cc). */
function header(entries: readonly Entry[]): Buffer {
  const data: Buffer[] = []
  let offset = 0
  const index = entries.map(([tag, type, values]) => {
    const bytes = Buffer.concat(
      values.map((value) => {
        if (typeof value === 'string') return Buffer.from(`${value}\0`)
        const number = Buffer.alloc(4)
        number.writeUInt32BE(value)
        return number
      }),
    )
    const entry = Buffer.alloc(16)
    entry.writeUInt32BE(tag, 0)
    entry.writeUInt32BE(type, 4)
    entry.writeUInt32BE(offset, 8)
    entry.writeUInt32BE(values.length, 12)
    offset += bytes.length
    data.push(bytes)
    return entry
  })
  const counts = Buffer.alloc(8)
  counts.writeUInt32BE(entries.length, 0)
  counts.writeUInt32BE(offset, 4)
  return Buffer.concat([counts, ...index, ...data])
}

const sha256 = 'C0FFEE'.padEnd(64, '0')
const runc = header([
  [1000, 6, ['runc']],
  [1001, 6, ['1.1.12']],
  [1002, 6, ['3.el9']],
  [1003, 4, [4]],
  [1035, 8, ['', sha256]],
  [1116, 4, [1, 0]],
  [1117, 8, ['runc', 'runc']],
  [1118, 8, ['/usr/bin/', '/usr/share/']],
  [5011, 4, [8]],
])

/** A host in a folder with rpm's database at one of its locations. */
function host(t: ExecutionContext, place: string) {
  const root = temporaryFolder(t)
  mkdirSync(join(root, place), { recursive: true })
  const database = new DatabaseSync(join(root, place, 'rpmdb.sqlite'))
  database.exec('CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)')
  database.exec('CREATE TABLE Basenames (key TEXT NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL)')
  database.prepare('INSERT INTO Packages VALUES (7, ?)').run(runc)
  database.exec(`INSERT INTO Basenames VALUES ('runc', 7, 0), ('runc', 7, 1)`)
  database.close()
  return rpm(root)
}

test('package, version with epoch, and digest of a file are found by its whole path', async (t) => {
  for (const place of ['var/lib/rpm', 'usr/lib/sysimage/rpm']) {
    t.deepEqual(await host(t, place).ownerOf('/usr/bin/runc'), {
      name: 'runc',
      version: '4:1.1.12-3.el9',
      digest: { algorithm: 'sha256', hex: sha256.toLowerCase() },
    })
  }
})

test('a file without a digest still belongs to its package', async (t) => {
  t.like(await host(t, 'var/lib/rpm').ownerOf('/usr/share/runc'), { name: 'runc', digest: null })
})

test('/usr/sbin and /usr/bin are treated as the same directory', async (t) => {
  t.like(await host(t, 'var/lib/rpm').ownerOf('/usr/sbin/runc'), { name: 'runc' })
})

test('a file of the same name elsewhere, and a host without the database, have no owner', async (t) => {
  t.is(await host(t, 'var/lib/rpm').ownerOf('/opt/runc'), null)
  t.is(await rpm(temporaryFolder(t)).ownerOf('/usr/bin/runc'), null)
})

test('a malformed header is read as empty and does not take long', (t) => {
  const broken = [
    Buffer.alloc(0),
    Buffer.alloc(7),
    Buffer.alloc(64, 0xff),
    runc.subarray(0, 40),
    runc.subarray(0, 200),
  ]
  for (const bytes of broken) {
    const { texts, numbers } = rpmHeader(bytes)
    t.true(texts(1117).length <= 2)
    t.true(numbers(1116).length <= 2)
  }
})
