import test from 'ava'
import {
  type Operation,
  type Actor,
  ledger,
  type PlaceState,
  type Place,
} from '../../../agent/sources/breakout-files/ledger.ts'

const pattern: Place = { key: 'core', file: 'core_pattern', path: '/proc/sys/kernel/core_pattern' }
const agent: Place = { key: 'pids a', file: 'release_agent', path: '/sys/fs/cgroup/pids/release_agent' }
const preload: Place = { key: 'preload', file: 'ld_so_preload', path: '/etc/ld.so.preload' }
const qemu: Place = { key: 'q', file: 'binfmt_misc', path: '/proc/sys/fs/binfmt_misc/q', isListed: true }
const at = (place: Place, value: string | null): PlaceState => ({ ...place, value })
const by = (pid: number, time = 1_000): { actor: Actor; time: number } => ({ actor: { pid }, time })

/** An operation in short: change, before, after, sensor, pid. */
function short({ change, before, after, seenBy, actor }: Operation) {
  return [change, before, after, seenBy, actor?.pid ?? null]
}

function settled(book: ReturnType<typeof ledger>, values: Record<string, string | null> = {}) {
  return book.settle(Infinity, ({ key }) => values[key] ?? null).map(short)
}

test('a write that the kernel reported is one operation, even if polling finds it too', (t) => {
  const book = ledger()
  book.start([at(pattern, 'core')])
  book.sysctlWritten(pattern, 'core', '|/x', by(5))
  // At the first poll the kernel may not have carried it out yet.
  book.polled([at(pattern, 'core')], 1_000)
  t.deepEqual(settled(book, { core: '|/x' }), [['changed', 'core', '|/x', 'bpf', 5]])
  book.polled([at(pattern, '|/x')], 2_000)
  t.deepEqual(settled(book), [])
})

test('setting and restoring a value are two operations, though every poll finds the old value', (t) => {
  const book = ledger()
  book.start([at(pattern, 'core')])
  book.sysctlWritten(pattern, 'core', '|/x', by(5))
  book.sysctlWritten(pattern, '|/x', 'core', by(5))
  t.deepEqual(settled(book, { core: 'core' }), [
    ['changed', 'core', '|/x', 'bpf', 5],
    ['changed', '|/x', 'core', 'bpf', 5],
  ])
})

test('a write that the kernel rejects is reported as refused, whether or not another follows', (t) => {
  const book = ledger()
  book.start([at(pattern, 'core')])
  book.sysctlWritten(pattern, 'core', '@bad', by(5))
  book.sysctlWritten(pattern, 'core', '@worse', by(6))
  t.deepEqual(settled(book, { core: 'core' }), [
    ['refused', 'core', '@bad', 'bpf', 5],
    ['refused', 'core', '@worse', 'bpf', 6],
  ])
  book.polled([at(pattern, 'core')], 2_000)
  t.deepEqual(settled(book), [])
})

test('a slow write is reported with its writer once a poll finds it', (t) => {
  const book = ledger()
  book.start([at(pattern, 'core')])
  book.sysctlWritten(pattern, 'core', '|/x', by(5))
  t.deepEqual(settled(book, { core: 'core' }), [['refused', 'core', '|/x', 'bpf', 5]])
  book.polled([at(pattern, '|/x')], 2_000)
  t.deepEqual(settled(book, { core: '|/x' }), [['changed', 'core', '|/x', 'bpf', 5]])
})

test('a write of the current value is reported as rewritten', (t) => {
  const book = ledger()
  book.start([at(pattern, 'core')])
  book.sysctlWritten(pattern, 'core', 'core', by(5))
  t.deepEqual(settled(book, { core: 'core' }), [['rewritten', 'core', 'core', 'bpf', 5]])
})

test('a change without an event is found by polling, once', (t) => {
  const book = ledger()
  book.start([at(agent, null)])
  book.polled([at(agent, '/x')], 2_000)
  book.polled([at(agent, '/x')], 3_000)
  t.deepEqual(settled(book), [['changed', null, '/x', 'poll', null]])
})

test('creating a file, writing it in pieces and closing it is one operation', (t) => {
  const book = ledger()
  book.start([at(preload, null)])
  for (const value of ['/a.so', '/a.so\n/b.so', '/a.so\n/b.so']) book.fileWritten(at(preload, value), by(5))
  t.deepEqual(settled(book), [['changed', null, '/a.so\n/b.so', 'fanotify', 5]])
})

test('writes by two processes to one file are two operations', (t) => {
  const book = ledger()
  book.start([at(preload, null)])
  book.fileWritten(at(preload, '/a.so'), by(5))
  book.fileWritten(at(preload, '/b.so'), by(6))
  t.deepEqual(settled(book), [
    ['changed', null, '/a.so', 'fanotify', 5],
    ['changed', '/a.so', '/b.so', 'fanotify', 6],
  ])
})

test('a process that changes a file and restores it performs two operations', (t) => {
  const book = ledger()
  book.start([at(agent, null)])
  book.fileWritten(at(agent, '/x'), by(5))
  book.fileWritten(at(agent, null), by(5))
  t.deepEqual(settled(book), [
    ['changed', null, '/x', 'fanotify', 5],
    ['changed', '/x', null, 'fanotify', 5],
  ])
})

test('a write that changed nothing is an operation as well', (t) => {
  const book = ledger()
  book.start([at(agent, null)])
  book.fileWritten(at(agent, null), by(5))
  t.deepEqual(settled(book), [['rewritten', null, null, 'fanotify', 5]])
})

test('an unknown place has an unknown value before, and none after when it is gone', (t) => {
  const book = ledger()
  book.fileWritten(at(agent, '1'), by(5))
  book.fileWritten({ ...preload, value: undefined }, by(6))
  t.deepEqual(settled(book), [
    ['changed', undefined, '1', 'fanotify', 5],
    ['changed', undefined, undefined, 'fanotify', 6],
  ])
})

test('a listed entry is reported when it is added or removed, unless it existed at the start', (t) => {
  const book = ledger()
  const other = { ...qemu, key: 'r', path: '/proc/sys/fs/binfmt_misc/r' }
  book.start([at(qemu, 'enabled')])
  book.polled([at(qemu, 'enabled'), at(other, 'enabled')], 1_000)
  book.polled([at(other, 'enabled')], 2_000)
  t.deepEqual(
    book.listed().map(({ key }) => key),
    ['r'],
  )
  t.deepEqual(settled(book), [
    ['changed', null, 'enabled', 'poll', null],
    ['changed', 'enabled', null, 'poll', null],
  ])
})

test('a place that appears with a hierarchy is accepted as it is, and forgotten with it', (t) => {
  const book = ledger()
  book.start([])
  book.polled([at(agent, '/lib/systemd/agent')], 1_000)
  book.polled([], 2_000)
  book.polled([at(agent, '/another')], 3_000)
  t.deepEqual(settled(book), [])
})

test('a loop of writes is limited, dropped operations are counted, and other files stay visible', (t) => {
  const book = ledger()
  book.start([at(pattern, 'core')])
  for (let times = 0; times < 300; times += 1) book.sysctlWritten(pattern, 'core', `${times}`, by(5))
  book.fileWritten(at(agent, '/x'), by(6))
  t.is(settled(book).length, 64 + 1)
  t.is(book.takeDropped(), 236)
  t.is(book.takeDropped(), 0)
})

test('truncating a file and writing it shortly after is one operation', (t) => {
  const book = ledger()
  book.start([at(agent, '/old')])
  book.fileWritten(at(agent, '/old'), by(5, 1_000))
  t.deepEqual(
    book.settle(1_200, () => null),
    [],
  )
  book.fileWritten(at(agent, '/new'), by(5, 1_201))
  t.deepEqual(settled(book), [['changed', '/old', '/new', 'fanotify', 5]])
})

test('a recent operation stays pending', (t) => {
  const book = ledger()
  book.start([at(pattern, 'core')])
  book.sysctlWritten(pattern, 'core', '|/x', by(5, 1_000))
  t.deepEqual(
    book.settle(999, () => '|/x'),
    [],
  )
  t.true(book.isPending())
  t.is(book.settle(1_000, () => '|/x').length, 1)
  t.false(book.isPending())
})
