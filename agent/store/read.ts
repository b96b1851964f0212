import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { SQLInputValue } from 'node:sqlite'
import { messageOf, UserError } from '../lib/errors.ts'
import { type Finding, severities, type Severity } from '../model/finding.ts'
import { openDatabaseReadOnly } from './database.ts'
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
  /** Only findings created after this one. */
  afterId?: string
}

/** Reads findings from a store, oldest first, also while a daemon writes to it. */
export function readFindings(directory: string, query: FindingsQuery): Finding[] {
  const path = join(directory, storeFile)
  if (!existsSync(path)) {
    throw new UserError(`no findings store in ${directory}: has the daemon run with this --state.directory?`)
  }
  const conditions = ['time >= ?', 'id > ?']
  const values: SQLInputValue[] = [query.since, query.afterId ?? '']
  if (query.detector !== undefined) add('detector = ?', query.detector)
  if (query.suppressed !== undefined) add(`state ${query.suppressed ? '=' : '<>'} 'suppressed'`)
  if (query.container !== undefined) add('container = ?', query.container)
  if (query.severity !== undefined) {
    const severe = severities.slice(severities.indexOf(query.severity))
    add(`severity IN (${severe.map(() => '?').join(', ')})`, ...severe)
  }

  function add(condition: string, ...bound: SQLInputValue[]): void {
    conditions.push(condition)
    values.push(...bound)
  }

  try {
    using database = openDatabaseReadOnly(path)
    const select = database.prepare(`SELECT json FROM findings WHERE ${conditions.join(' AND ')} ORDER BY id`)
    return select.all(...values).map((row) => JSON.parse(String(row['json'])) as Finding)
  } catch (error) {
    throw new UserError(`cannot read the findings in ${path}: ${messageOf(error)}`)
  }
}
