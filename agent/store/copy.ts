import type { DatabaseSync } from 'node:sqlite'
import { transaction } from './database.ts'

/** Copies what delivery and detection need from a failing store: open conditions, the outbox and the state. */
export function copyEssentials(from: DatabaseSync, to: DatabaseSync): void {
  try {
    transaction(to, () => {
      copyRows(
        from,
        to,
        'findings',
        `WHERE kind = 'condition' AND state = 'firing' OR id IN (SELECT finding_id FROM outbox)`,
      )
      copyRows(from, to, 'outbox')
      copyRows(from, to, 'state')
    })
  } catch {
    // The store cannot be read either. Its content is delivered when it recovers, or is lost with its disk.
  }
}

/** Copies everything back into a recovered store, whose own findings stay. */
export function copyAll(from: DatabaseSync, to: DatabaseSync): void {
  transaction(to, () => {
    copyRows(from, to, 'findings')
    to.exec('DELETE FROM outbox')
    copyRows(from, to, 'outbox')
    copyRows(from, to, 'state')
  })
}

const columns = {
  findings: 'id, time, detector, rule, severity, kind, state, container, fingerprint, act, json',
  outbox: 'receiver, key, finding_id, delivered_at, next_at',
  state: 'key, value',
} as const

const conflict = {
  // The newer row has the newer state. An event in both stores was stored before the failure.
  findings:
    'ON CONFLICT (id) DO UPDATE SET state = excluded.state, json = excluded.json ON CONFLICT DO NOTHING',
  outbox: 'ON CONFLICT DO NOTHING',
  state: 'ON CONFLICT (key) DO UPDATE SET value = excluded.value',
} as const

// Drop a delivery whose finding was not copied because its event is already stored.
const condition = {
  findings: 'true',
  outbox: 'EXISTS (SELECT 1 FROM findings WHERE id = ?3)',
  state: 'true',
} as const

function copyRows(from: DatabaseSync, to: DatabaseSync, table: keyof typeof columns, where = ''): void {
  let count = 0
  const marks = columns[table].replace(/\w+/g, () => `?${(count += 1)}`)
  const insert = to.prepare(
    `INSERT INTO ${table} (${columns[table]}) SELECT ${marks} WHERE ${condition[table]} ${conflict[table]}`,
  )
  const select = from.prepare(`SELECT ${columns[table]} FROM ${table} ${where}`)
  for (const row of select.iterate()) insert.run(...(Object.values(row) as (string | number | null)[]))
}
