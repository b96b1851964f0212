import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import { messageOf, UserError } from '../lib/errors.ts'
import { type Finding, severities, type Severity } from '../model/finding.ts'
import { openDatabaseReadOnly } from './database.ts'
import { parseFinding } from './parse-finding.ts'
import { storeFile } from './store.ts'

export type FindingsQuery = {
  /** Epoch milliseconds. */
  since: number
  detector?: string | undefined
  /** At least this severe. */
  severity?: Severity | undefined
  container?: string | undefined
  /** true: only suppressed findings; false: only the others; undefined: both. */
  suppressed?: boolean | undefined
  /** Only findings that were created or changed after this revision. */
  afterRevision?: number
}

/** Findings, and the revision of the store from which a reader can follow its changes. */
export type FindingsRead = { findings: Finding[]; revision: number }

/** Reads findings from a store, oldest first, also while a daemon writes to it. */
export function readFindings(directory: string, query: FindingsQuery): Finding[] {
  return readWithRevision(directory, query).findings
}

/** The same, for a reader that follows the changes: those after a revision come in the order in which they happened. */
export function readWithRevision(directory: string, query: FindingsQuery): FindingsRead {
  const path = join(directory, storeFile)
  if (!existsSync(path)) {
    throw new UserError(`no findings store in ${directory}: has the daemon run with this --state.directory?`)
  }
  const { sql, values } = conditionsOf(query)
  try {
    using database = openDatabaseReadOnly(path)
    // One snapshot: a change between the two statements would be missed.
    database.exec('BEGIN')
    const revision = revisionOf(database)
    if (revision === null && query.afterRevision !== undefined) return { findings: [], revision: 0 }
    const order = query.afterRevision === undefined ? 'id' : 'revision'
    const select = database.prepare(`SELECT json FROM findings WHERE ${sql} ORDER BY ${order}`)
    return {
      findings: select.all(...values).map((row) => parseFinding(row['json'])),
      revision: revision ?? 0,
    }
  } catch (error) {
    throw new UserError(`cannot read the findings in ${path}: ${messageOf(error)}`)
  }
}

function conditionsOf(query: FindingsQuery): { sql: string; values: SQLInputValue[] } {
  const conditions: string[] = []
  const values: SQLInputValue[] = []
  add('time >= ?', query.since)
  if (query.afterRevision !== undefined) add('revision > ?', query.afterRevision)
  if (query.detector !== undefined) add('detector = ?', query.detector)
  if (query.suppressed !== undefined) add(`state ${query.suppressed ? '=' : '<>'} 'suppressed'`)
  if (query.container !== undefined) add('container = ?', query.container)
  if (query.severity !== undefined) {
    const severe = severities.slice(severities.indexOf(query.severity))
    add(`severity IN (${severe.map(() => '?').join(', ')})`, ...severe)
  }
  return { sql: conditions.join(' AND '), values }

  function add(condition: string, ...bound: SQLInputValue[]): void {
    conditions.push(condition)
    values.push(...bound)
  }
}

/** Null for a store of an earlier version: nothing changes in it until a daemon starts and upgrades it. */
function revisionOf(database: DatabaseSync): number | null {
  const hasRevisions = database.prepare(`SELECT 1 FROM sqlite_schema WHERE name = 'last_revision'`).get()
  if (hasRevisions === undefined) return null
  return Number(database.prepare('SELECT number FROM last_revision').get()?.['number'])
}
