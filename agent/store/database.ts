import { DatabaseSync } from 'node:sqlite'
import { NewerStoreError } from './unusable-store.ts'

/** One step per released schema version; steps are only appended. */
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
  // An alert replaces its earlier one, a webhook gets each finding: the queue key depends on the receiver.
  'ALTER TABLE outbox RENAME COLUMN fingerprint TO key',
  // Every change of a finding gets a number, so that readers can follow changes. The container's name is part of an
  // alert's key, because the alert of a renamed container is a different one. The receivers of an earlier version know
  // what is firing.
  `ALTER TABLE findings ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
   CREATE INDEX findings_by_revision ON findings (revision);
   CREATE TABLE last_revision (number INTEGER NOT NULL) STRICT;
   INSERT INTO last_revision VALUES (0);
   INSERT INTO state SELECT 'known-receivers', 'unknown' WHERE EXISTS (SELECT 1 FROM findings);
   CREATE INDEX conditions_by_end ON findings (json_extract(json, '$.resolved_at'))
     WHERE kind = 'condition' AND state = 'resolved';
   UPDATE outbox SET key = key || ' ' || (SELECT container FROM findings WHERE id = finding_id)
     WHERE key LIKE '% %';
   CREATE TRIGGER finding_inserted AFTER INSERT ON findings BEGIN
     UPDATE last_revision SET number = number + 1;
     UPDATE findings SET revision = (SELECT number FROM last_revision) WHERE id = NEW.id;
   END;
   CREATE TRIGGER finding_updated AFTER UPDATE OF json ON findings BEGIN
     UPDATE last_revision SET number = number + 1;
     UPDATE findings SET revision = (SELECT number FROM last_revision) WHERE id = NEW.id;
   END;`,
]

// Another program may lock the file briefly. Waiting blocks the event loop, so the timeout is short.
const busyTimeoutMs = 100

/** Opens a store file (or `:memory:`) for the daemon and migrates its schema. Throws SQLite errors. */
export function openDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: busyTimeoutMs })
  try {
    // Checked first: a newer store must not be changed by a single byte.
    const version = versionOf(database)
    // In WAL mode, `normal` survives a crash of the process, and a power loss does not corrupt the file
    // (https://www.sqlite.org/pragma.html#pragma_synchronous).
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON')
    migrate(database, version)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

/** Opens a store file for reading, while a daemon may be writing to it. */
export function openDatabaseReadOnly(path: string): DatabaseSync {
  return new DatabaseSync(path, { readOnly: true, timeout: 5_000 })
}

/** Runs work in one transaction. */
export function transaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    database.exec('COMMIT')
    return result
  } catch (error) {
    // After some errors, such as a full disk, SQLite has already rolled back.
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

function versionOf(database: DatabaseSync): number {
  const version = Number(database.prepare('PRAGMA user_version').get()?.['user_version'])
  if (version > migrations.length) {
    throw new NewerStoreError(
      `written by a newer tidewatch (schema ${version}, this version supports up to ${migrations.length})`,
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
