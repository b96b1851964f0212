import type { DatabaseSync } from 'node:sqlite'
import { isoTime } from '../lib/iso-time.ts'
import type { Finding } from '../model/finding.ts'
import { transaction } from './database.ts'
import { parseFinding } from './parse-finding.ts'

/** A finding to send or resend to a receiver. Times are epoch milliseconds. */
export type Delivery = {
  finding: Finding
  /** When the receiver first accepted it; null until then. */
  deliveredAt: number | null
}

/** The queue of a receiver. */
export type Queue = {
  /** Kind and address of the receiver, without credentials; a label value. */
  name: string
  /** `alert`: a finding replaces an earlier one with the same alert labels. `finding`: all are queued. */
  queuedBy: 'alert' | 'finding'
}

/** The statements of one open database; every method may throw SQLite errors. */
export type Tables = ReturnType<typeof prepareTables>

/** Prepares all statements once, because preparing them costs more than running them. */
export function prepareTables(database: DatabaseSync) {
  const insertFinding = database.prepare(
    `INSERT INTO findings (id, time, detector, rule, severity, kind, state, container, fingerprint, act, json)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET state = excluded.state, severity = excluded.severity, json = excluded.json
     ON CONFLICT DO NOTHING`,
  )
  const enqueue = database.prepare(
    `INSERT INTO outbox (receiver, key, finding_id, next_at)
       SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM findings WHERE id = ?3)
     ON CONFLICT (receiver, key) DO UPDATE
       SET delivered_at = iif(finding_id = excluded.finding_id, delivered_at, NULL),
           finding_id = excluded.finding_id, next_at = excluded.next_at`,
  )
  const due = database.prepare(
    `SELECT findings.json, delivered_at FROM outbox JOIN findings ON findings.id = finding_id
     WHERE receiver = ?1 AND ${isDue('?2')} ORDER BY finding_id LIMIT ?3`,
  )
  const nextDue = database.prepare(
    `SELECT min(iif(${isDue('?2')}, 0, next_at)) AS at FROM outbox WHERE receiver = ?1`,
  )
  const delivered = database.prepare(
    `UPDATE outbox SET delivered_at = coalesce(delivered_at, ?1), next_at = ?2
     WHERE receiver = ?3 AND finding_id = ?4 AND ${isDue('?1')}`,
  )
  const dequeue = database.prepare('DELETE FROM outbox WHERE receiver = ? AND finding_id = ?')
  const pending = database.prepare(
    'SELECT count(*) AS n FROM outbox WHERE receiver = ? AND delivered_at IS NULL',
  )
  const firing = database.prepare(
    `SELECT json FROM findings WHERE kind = 'condition' AND state = 'firing' ORDER BY id`,
  )
  const ended = database.prepare(
    `SELECT json FROM findings WHERE kind = 'condition' AND state = 'resolved'
       AND json_extract(json, '$.resolved_at') >= ? ORDER BY json_extract(json, '$.resolved_at')`,
  )
  const byId = database.prepare('SELECT json FROM findings WHERE id = ?')
  const latest = database.prepare(
    `SELECT json FROM findings WHERE state <> 'suppressed' ORDER BY id DESC LIMIT ?`,
  )
  const eventsSince = database.prepare(
    `SELECT json FROM findings WHERE time >= ? AND kind = 'event' ORDER BY id DESC LIMIT ?`,
  )
  const getState = database.prepare('SELECT value FROM state WHERE key = ?')
  const setState = database.prepare(
    'INSERT INTO state (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
  )
  const deleteState = database.prepare('DELETE FROM state WHERE key = ?')
  const stateKeys = database.prepare(
    'SELECT key FROM state WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key',
  )
  const byAct = database.prepare('SELECT json FROM findings WHERE rule = ? AND act = ?')
  const deleteBefore = database.prepare(
    `DELETE FROM findings WHERE time < ? AND NOT (kind = 'condition' AND state = 'firing')`,
  )
  const deleteOldest = database.prepare(
    `DELETE FROM findings WHERE id IN (
       SELECT id FROM findings WHERE NOT (kind = 'condition' AND state = 'firing') ORDER BY id LIMIT ?)`,
  )

  return {
    /** Stores a finding and queues it for its receivers; false if its event is already stored. */
    save(finding: Finding, eventKey: string | null, receivers: readonly Queue[], now: number): boolean {
      return transaction(database, () => {
        const { changes } = insertFinding.run(
          finding.id,
          // What began long ago and was found now is as new as what began now.
          Math.max(Date.parse(finding.time), Date.parse(finding.last_seen)),
          finding.detector,
          finding.rule,
          finding.severity,
          finding.kind,
          finding.state,
          finding.container?.name ?? '',
          finding.fingerprint,
          eventKey,
          JSON.stringify(finding),
        )
        if (changes === 0) return false
        for (const { name, queuedBy } of receivers)
          enqueue.run(name, queueKey(finding, queuedBy), finding.id, now)
        return true
      })
    },
    /** Queues findings for a receiver again, if they are stored. */
    enqueue(findings: readonly Finding[], { name, queuedBy }: Queue, now: number): void {
      transaction(database, () => {
        for (const finding of findings) enqueue.run(name, queueKey(finding, queuedBy), finding.id, now)
      })
    },
    due(receiver: string, now: number, limit: number): Delivery[] {
      return due.all(receiver, now, limit).map((row) => ({
        finding: parseFinding(row['json']),
        deliveredAt: row['delivered_at'] === null ? null : Number(row['delivered_at']),
      }))
    },
    /** When the receiver's next delivery is due, 0 for now; null if its queue is empty. */
    nextDue(receiver: string, now: number): number | null {
      const at = nextDue.get(receiver, now)?.['at']
      return typeof at === 'number' ? at : null
    },
    delivered(receiver: string, findingIds: readonly string[], now: number, nextAt: number): void {
      transaction(database, () => {
        for (const id of findingIds) delivered.run(now, nextAt, receiver, id)
      })
    },
    dequeue(receiver: string, findingIds: readonly string[]): void {
      transaction(database, () => {
        for (const id of findingIds) dequeue.run(receiver, id)
      })
    },
    /** How many findings have not been delivered to a receiver yet. */
    pending(receiver: string): number {
      return Number(pending.get(receiver)?.['n'])
    },
    firing(): Finding[] {
      return firing.all().map((row) => parseFinding(row['json']))
    },
    /** Conditions that ended since a time, oldest first. */
    endedSince(time: number): Finding[] {
      return ended.all(isoTime(time)).map((row) => parseFinding(row['json']))
    },
    find(id: string): Finding | null {
      const row = byId.get(id)
      return row === undefined ? null : parseFinding(row['json'])
    },
    /** The newest findings that are not suppressed, newest first. */
    latest(limit: number): Finding[] {
      return latest.all(limit).map((row) => parseFinding(row['json']))
    },
    /** The newest events since a time, oldest first. */
    eventsSince(time: number, limit: number): Finding[] {
      return eventsSince
        .all(time, limit)
        .map((row) => parseFinding(row['json']))
        .toReversed()
    },
    getState(key: string): string | null {
      const value = getState.get(key)?.['value']
      return typeof value === 'string' ? value : null
    },
    setState(key: string, value: string): void {
      setState.run(key, value)
    },
    deleteState(key: string): void {
      deleteState.run(key)
    },
    /** All keys with a prefix, in order. */
    stateKeys(prefix: string): string[] {
      return stateKeys.all(prefix).map((row) => String(row['key']))
    },
    findByEventKey(rule: string, eventKey: string): Finding | null {
      const row = byAct.get(rule, eventKey)
      return row === undefined ? null : parseFinding(row['json'])
    },
    /** Deletes findings older than a time, except firing conditions; returns how many. */
    deleteBefore(time: number): number {
      return Number(deleteBefore.run(time).changes)
    },
    deleteOldest(count: number): number {
      return Number(deleteOldest.run(count).changes)
    },
  }
}

// Deliveries are postponed by a minute at most. One that lies further ahead than this was postponed by a clock that has
// been set back since, and is due now.
const maxPostponedMs = 300_000

function isDue(now: string): string {
  return `(next_at <= ${now} OR next_at > ${now} + ${maxPostponedMs})`
}

/** Fingerprint, severity and container are the labels that distinguish the alerts of one rule. */
function queueKey({ id, fingerprint, severity, container }: Finding, queuedBy: Queue['queuedBy']): string {
  return queuedBy === 'finding' ? id : `${fingerprint} ${severity} ${container?.name ?? ''}`
}
