import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test, { type ExecutionContext } from 'ava'
import { moveAside } from '../../agent/store/unusable-store.ts'
import { readFindings, readWithRevision } from '../../agent/store/read.ts'
import { openStore, storeFile } from '../../agent/store/store.ts'
import { sampleFinding } from '../support/samples.ts'

function scratch(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'tidewatch-test-store-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

function open(t: ExecutionContext, directory = scratch(t)) {
  const modes: string[] = []
  const aside: string[] = []
  const store = openStore({
    directory,
    onModeChange: (mode, reason) => modes.push(`${mode}: ${reason}`),
    onMovedAside: (reason) => aside.push(reason),
  })
  t.teardown(() => store.close())
  return { store, directory, modes, aside }
}

const finding = (id: string, rest = {}) => sampleFinding({ id, fingerprint: `fp-${id}`, ...rest })
const am = { name: 'am', queuedBy: 'alert' } as const

const ids = (deliveries: readonly { finding: { id: string } }[]) => deliveries.map((d) => d.finding.id)

test('a finding and its deliveries survive a restart', (t) => {
  const { store, directory } = open(t)
  t.true(store.save(finding('1'), 'act', [am], 100))
  store.close()
  const { store: again } = open(t, directory)
  t.deepEqual(ids(again.due('am', 100, 9)), ['1'])
  t.deepEqual(readFindings(directory, { since: 0 }), [finding('1')])
})

test('a known event is not stored again, even under another id', (t) => {
  const { store } = open(t)
  t.true(store.save(finding('1'), 'act', [am], 100))
  t.false(store.save(finding('2'), 'act', [am], 100))
  t.true(store.save(finding('3', { rule: 'exec-as-root' }), 'act', [am], 100))
  t.deepEqual(ids(store.due('am', 100, 9)), ['1', '3'])
})

test('a newer finding replaces the older one with the same fingerprint in the outbox', (t) => {
  const { store } = open(t)
  store.save(finding('1', { fingerprint: 'same' }), 'a', [am], 100)
  store.delivered('am', ['1'], 100, 200)
  t.deepEqual(ids(store.due('am', 150, 9)), [])
  store.save(finding('2', { fingerprint: 'same' }), 'b', [am], 160)
  const [delivery, ...others] = store.due('am', 160, 9)
  t.is(delivery?.finding.id, '2')
  t.is(delivery?.deliveredAt, null)
  t.deepEqual(others, [])
})

test('a delivered finding is due again at its time, and removed when dequeued', (t) => {
  const { store } = open(t)
  store.save(finding('1'), null, [am, { ...am, name: 'other' }], 100)
  t.is(store.pending('am'), 1)
  store.delivered('am', ['1'], 100, 200)
  t.is(store.pending('am'), 0)
  t.is(store.nextDue('am', 100), 200)
  t.deepEqual(store.due('am', 200, 9), [{ finding: finding('1'), deliveredAt: 100 }])
  store.dequeue('am', ['1'])
  t.is(store.nextDue('am', 200), null)
  t.is(store.nextDue('other', 100), 0)
})

test('a delivery in progress does not hide a resolution that arrives meanwhile', (t) => {
  const { store } = open(t)
  const condition = { kind: 'condition', fingerprint: 'c' } as const
  store.save(finding('1', condition), null, [am], 100)
  store.save(finding('1', { ...condition, state: 'resolved' }), null, [am], 150)
  store.delivered('am', ['1'], 100, 160)
  t.deepEqual(
    store.due('am', 150, 9).map((d) => d.finding.state),
    ['resolved'],
  )
})

test('firing conditions are known after a restart', (t) => {
  const { store, directory } = open(t)
  store.save(finding('1', { kind: 'condition' }), null, [], 100)
  store.save(finding('2', { kind: 'condition' }), null, [], 100)
  store.save(finding('2', { kind: 'condition', state: 'resolved' }), null, [], 100)
  store.save(finding('3'), null, [], 100)
  store.close()
  t.deepEqual(
    open(t, directory)
      .store.firing()
      .map(({ id }) => id),
    ['1'],
  )
})

test('while another program locks the file, the store works in memory, and loses nothing', (t) => {
  const { store, directory, modes } = open(t)
  store.save(finding('1'), 'a', [am], 100)
  const other = new DatabaseSync(join(directory, storeFile))
  t.teardown(() => other.close())
  other.exec('BEGIN IMMEDIATE')

  t.true(store.save(finding('2'), 'b', [am], 100))
  t.is(store.mode(), 'memory')
  t.deepEqual(ids(store.due('am', 100, 9)), ['1', '2'])
  store.dequeue('am', ['1'])
  store.setState('key', 'value')
  store.tryToRestore()
  t.is(store.mode(), 'memory')

  other.exec('ROLLBACK')
  store.tryToRestore()
  t.is(store.mode(), 'file')
  t.deepEqual(ids(store.due('am', 100, 9)), ['2'])
  t.is(store.getState('key'), 'value')
  t.deepEqual(
    readFindings(directory, { since: 0 }).map(({ id }) => id),
    ['1', '2'],
  )
  t.regex(modes[0] ?? '', /^memory: .*locked/)
  t.regex(modes[1] ?? '', /^file: /)
})

test('an event in both memory and file is restored once, without its second delivery', (t) => {
  const { store, directory } = open(t)
  store.save(finding('1'), 'same', [], 100)
  const other = new DatabaseSync(join(directory, storeFile))
  t.teardown(() => other.close())
  other.exec('BEGIN IMMEDIATE')
  store.save(finding('2'), 'same', [am], 100)
  other.exec('ROLLBACK')
  store.tryToRestore()
  t.is(store.mode(), 'file')
  t.deepEqual(
    readFindings(directory, { since: 0 }).map(({ id }) => id),
    ['1'],
  )
  t.deepEqual(store.due('am', 100, 9), [])
})

test('an unusable directory does not prevent a start', (t) => {
  const directoryAsFile = scratch(t)
  mkdirSync(join(directoryAsFile, storeFile))
  for (const directory of ['/proc/nowhere', directoryAsFile]) {
    const { store, modes, aside } = open(t, directory)
    t.true(store.save(finding('1'), 'a', [am], 100))
    t.is(store.mode(), 'memory')
    t.regex(modes.join(), /unable to open/)
    t.deepEqual(aside, [])
  }
})

test('a corrupt store and one of a newer version are moved aside and replaced', (t) => {
  const broken = scratch(t)
  writeFileSync(join(broken, storeFile), 'this is no database '.repeat(1_000))
  const newer = scratch(t)
  const database = new DatabaseSync(join(newer, storeFile))
  database.exec('PRAGMA user_version = 99')
  database.close()
  for (const [directory, reason] of [
    [broken, /not a database/],
    [newer, /newer tidewatch \(schema 99/],
  ] as const) {
    const before = readFileSync(join(directory, storeFile))
    const { store, modes, aside } = open(t, directory)
    t.true(store.save(finding('1'), 'a', [am], 100))
    t.is(store.mode(), 'file')
    t.deepEqual(modes, [])
    t.regex(aside.join(), reason)
    t.is(store.movedAside(), 1)
    const moved = readdirSync(directory).find((name) => name.includes('.aside-')) ?? ''
    t.true(before.equals(readFileSync(join(directory, moved))))
  }
})

test('a store that becomes corrupt is replaced by one with the data that is still readable', (t) => {
  const { store, directory, aside } = open(t)
  for (let n = 0; n < 500; n += 1) store.save(finding(String(n).padStart(4, '0')), null, [], 100)
  store.save(finding('c', { kind: 'condition' }), null, [am], 100)
  store.close()
  const path = join(directory, storeFile)
  const bytes = readFileSync(path)
  // Leaf pages of the findings table after the first: the schema stays readable.
  bytes.fill(0xa5, bytes.length - 40 * 4_096, bytes.length - 4_096)
  writeFileSync(path, bytes)
  const again = open(t, directory)
  const attempts = () => again.store.latest(1_000)
  t.notThrows(attempts)
  t.true(again.store.save(finding('9999'), 'new', [am], 200))
  t.is(again.store.mode(), 'file')
  t.is(again.aside.length, 1)
  t.deepEqual(aside, [])
  t.true(readFindings(directory, { since: 0 }).some(({ id }) => id === '9999'))
})

test('the newest three moved stores are retained', (t) => {
  const directory = scratch(t)
  const path = join(directory, storeFile)
  for (let n = 0; n < 5; n += 1) {
    writeFileSync(path, String(n))
    writeFileSync(`${path}-wal`, String(n))
    moveAside(path, new Date(n * 1_000))
  }
  const kept = readdirSync(directory).toSorted()
  t.is(kept.length, 6)
  t.true(kept.every((name) => ['02', '03', '04'].some((second) => name.includes(`T00-00-${second}-`))))
})

test('memory is bounded, and dropped findings are counted', (t) => {
  const { store } = open(t, '/proc/nowhere')
  for (let n = 0; n < 10_500; n += 1) store.save(finding(String(n).padStart(6, '0')), null, [], 100)
  t.is(store.lost(), 1_000)
  t.is(store.latest(20_000).length, 9_500)
})

test('retention deletes by age and by size, but never a firing condition', (t) => {
  const { store } = open(t)
  const old = '2026-01-01T00:00:00.000Z'
  store.save(finding('0', { kind: 'condition', time: old, last_seen: old }), null, [], 0)
  store.save(finding('1', { time: old, last_seen: old }), null, [], 0)
  for (let n = 2; n < 2_002; n += 1) store.save(finding(String(10_000 + n)), null, [], 0)
  const now = Date.parse('2026-11-24T00:00:00Z')
  t.is(store.prune({ maxAgeMs: 30 * 86_400_000, maxBytes: 1e9 }, now), 1)
  t.is(store.latest(9_999).length, 2_001)
  t.is(store.prune({ maxAgeMs: 1e12, maxBytes: 1 }, now), 2_000)
  t.deepEqual(
    store.latest(9).map(({ id }) => id),
    ['0'],
  )
})

test('the store can be read and filtered while the daemon writes to it', (t) => {
  const { store, directory } = open(t)
  store.save(finding('1'), null, [], 0)
  store.save(
    finding('2', { severity: 'critical', detector: 'runtime-path-write', container: null }),
    null,
    [],
    0,
  )
  store.save(finding('3', { severity: 'info', time: '2026-11-23T20:00:00.000Z' }), null, [], 0)
  const read = (query: object) => readFindings(directory, { since: 0, ...query }).map(({ id }) => id)
  t.deepEqual(read({}), ['1', '2', '3'])
  t.deepEqual(read({ severity: 'warning' }), ['1', '2'])
  t.deepEqual(read({ detector: 'runtime-path-write' }), ['2'])
  t.deepEqual(read({ container: 'web-1' }), ['1', '3'])
  t.deepEqual(read({ container: `' OR 1=1 --` }), [])
  t.deepEqual(read({ since: Date.parse('2026-11-23T19:00:00.000Z') }), ['3'])
  const [time, last_seen] = ['2026-01-01T00:00:00.000Z', '2026-11-23T20:00:00.000Z']
  store.save(finding('4', { time, last_seen }), null, [], 0)
  t.deepEqual(
    read({ since: Date.parse('2026-11-23T19:00:00.000Z') }),
    ['3', '4'],
    'found now, began long ago',
  )
  t.throws(() => readFindings(scratch(t), { since: 0 }), { message: /no findings store in/ })
})

test('a reader can follow new findings and changes, and misses none', (t) => {
  const { store, directory } = open(t)
  const follow = (afterRevision: number) => {
    const { findings, revision } = readWithRevision(directory, { since: 0, afterRevision })
    return [revision, findings.map(({ id, count }) => `${id}×${count}`)]
  }
  store.save(finding('1'), 'e1', [], 0)
  store.save(finding('2'), 'e2', [], 0)
  t.is(readWithRevision(directory, { since: 0 }).revision, 2)
  store.save(finding('1', { count: 2 }), null, [], 0)
  store.save(finding('3'), 'e3', [], 0)
  t.deepEqual(follow(2), [4, ['1×2', '3×1']])
  // An event that is already stored changes nothing.
  t.false(store.save(finding('4'), 'e3', [], 0))
  t.deepEqual(follow(4), [4, []])
})

test('findings can be queued for another receiver, if they are stored', (t) => {
  const { store } = open(t)
  store.save(finding('1'), null, [], 0)
  store.enqueue([finding('1'), finding('missing')], am, 100)
  t.deepEqual(
    store.due('am', 100, 10).map((due) => due.finding.id),
    ['1'],
  )
})

test('conditions that ended since a time are found, oldest first', (t) => {
  const { store } = open(t)
  const ended = (id: string, resolved_at: string) =>
    finding(id, { kind: 'condition', state: 'resolved', resolved_at, resolution: 'over' })
  for (const [id, minute] of [
    ['1', '50'],
    ['2', '45'],
    ['3', '30'],
  ] as const)
    store.save(ended(id, `2026-11-23T17:${minute}:00.000Z`), null, [], 0)
  store.save(finding('4', { kind: 'condition' }), null, [], 0)
  t.deepEqual(
    store.endedSince(Date.parse('2026-11-23T17:40:00Z')).map(({ id }) => id),
    ['2', '1'],
  )
})

test('a condition that changed its severity is two alerts', (t) => {
  const { store } = open(t)
  const was = finding('1', { fingerprint: 'same', kind: 'condition', severity: 'warning', state: 'resolved' })
  store.save(was, null, [am], 100)
  store.save({ ...was, id: '2', severity: 'critical', state: 'firing' }, null, [am], 100)
  t.deepEqual(ids(store.due('am', 100, 9)), ['1', '2'])
})

test('the events since a time are the newest ones, oldest first', (t) => {
  const { store } = open(t)
  const at = (id: string, second: number, rest = {}) => {
    const time = `2026-01-01T00:00:0${second}.000Z`
    store.save(finding(id, { time, last_seen: time, ...rest }), null, [], 0)
  }
  at('1', 1)
  at('2', 2)
  at('3', 3)
  at('4', 3, { kind: 'condition' })
  const since = Date.parse('2026-01-01T00:00:02.000Z')
  const found = (limit: number) => store.eventsSince(since, limit).map(({ id }) => id)
  t.deepEqual(found(9), ['2', '3'])
  t.deepEqual(found(1), ['3'])
})

test('a receiver queued by finding gets both findings with one fingerprint, and a resolution replaces its waiting finding', (t) => {
  const { store } = open(t)
  const hook = { name: 'hook', queuedBy: 'finding' } as const
  store.save(finding('1', { fingerprint: 'same' }), 'a', [am, hook], 100)
  store.save(finding('2', { fingerprint: 'same' }), 'b', [am, hook], 100)
  t.deepEqual(ids(store.due('am', 100, 9)), ['2'])
  t.deepEqual(ids(store.due('hook', 100, 9)), ['1', '2'])
  store.save(finding('2', { fingerprint: 'same', state: 'resolved' }), null, [am, hook], 100)
  t.deepEqual(ids(store.due('hook', 100, 9)), ['1', '2'])
  store.dequeue('hook', ['1', '2'])
  t.is(store.nextDue('hook', 100), null)
})

test('a delivery postponed before the clock was set back is due', (t) => {
  const { store } = open(t)
  store.save(finding('1'), null, [am], 10_000_000)
  store.delivered('am', ['1'], 10_000_000, 10_060_000)
  t.is(store.nextDue('am', 10_000_000), 10_060_000)
  t.is(store.nextDue('am', 2_800_000), 0)
  t.deepEqual(ids(store.due('am', 2_800_000, 9)), ['1'])
  store.delivered('am', ['1'], 2_800_000, 2_860_000)
  t.deepEqual(store.due('am', 2_800_000, 9), [])
  t.is(store.nextDue('am', 2_800_000), 2_860_000)
})
