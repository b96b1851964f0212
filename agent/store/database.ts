import { DatabaseSync } from 'node:sqlite'
import { NewerStoreError } from './aside.ts'

/** One step per released version of the schema; steps are only ever added. */
const migrations = [
  `CREATE TABLE findings (
     id TEXT PRIMARY KEY,
     time INTEGER NOT NULL,
     detector TEXT NOT NULL,
     rule TEXT NOT NULL,
     severity TEXT NOT NULL,
     kind TEXT NOT NULL,
     state TEXT NOT NULL,
     container TEXT NOT NULL,
     fingerprint TEXT NOT NULL,
     act TEXT,
     json TEXT NOT NULL
   ) STRICT;
   CREATE INDEX findings_by_time ON findings (time);
   CREATE UNIQUE INDEX findings_by_act ON findings (rule, act) WHERE act IS NOT NULL;
   CREATE INDEX findings_firing ON findings (kind) WHERE kind = 'condition' AND state = 'firing';
   CREATE TABLE outbox (
     receiver TEXT NOT NULL,
     fingerprint TEXT NOT NULL,
     finding_id TEXT NOT NULL REFERENCES findings (id) ON DELETE CASCADE,
     delivered_at INTEGER,
     next_at INTEGER NOT NULL,
     PRIMARY KEY (receiver, fingerprint)
   ) STRICT;
   CREATE INDEX outbox_by_finding ON outbox (finding_id);
   CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;`,
  // An alert takes the place of its earlier one, a webhook is told of each finding: it is a key either way.
  'ALTER TABLE outbox RENAME COLUMN fingerprint TO key',
]

// Another program may hold the file for a moment; waiting blocks the event loop, so it is not waited for long.
const busyTimeoutMs = 100

/** Opens a store file (or `:memory:`) for the daemon, and brings its schema up to date. Throws what SQLite throws. */
export function openDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: busyTimeoutMs })
  try {
    // A newer one is left as it is, to the byte.
    const version = versionOf(database)
    // In WAL mode `normal` survives the death of the process, and a power cut leaves the file whole
    // (https://www.sqlite.org/pragma.html#pragma_synchronous).
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON')
    migrate(database, version)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

/** Opens a store file to read from while a daemon may be writing to it. */
export function openDatabaseReadOnly(path: string): DatabaseSync {
  return new DatabaseSync(path, { readOnly: true, timeout: 5_000 })
}

/** Runs work as one transaction: all of it is kept, or none. */
export function transaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    database.exec('COMMIT')
    return result
  } catch (error) {
    // SQLite has already rolled back by itself after some errors, among them a full disk.
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

function versionOf(database: DatabaseSync): number {
  const version = Number(database.prepare('PRAGMA user_version').get()?.['user_version'])
  if (version > migrations.length) {
    throw new NewerStoreError(
      `it was written by a newer tidewatch (schema ${version}, this one knows ${migrations.length})`,
    )
  }
  return version
}

function migrate(database: DatabaseSync, version: number): void {
  if (version === migrations.length) return
  transaction(database, () => {
    for (const step of migrations.slice(version)) database.exec(step)
    database.exec(`PRAGMA user_version = ${migrations.length}`)
  })
}
