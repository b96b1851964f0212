import test from 'ava'
import {
  type Act,
  type Doer,
  ledger,
  type Look,
  type Place,
} from '../../../agent/sources/breakout-files/ledger.ts'

const pattern: Place = { key: 'core', file: 'core_pattern', path: '/proc/sys/kernel/core_pattern' }
const agent: Place = { key: 'pids a', file: 'release_agent', path: '/sys/fs/cgroup/pids/release_agent' }
const preload: Place = { key: 'preload', file: 'ld_so_preload', path: '/etc/ld.so.preload' }
const qemu: Place = { key: 'q', file: 'binfmt_misc', path: '/proc/sys/fs/binfmt_misc/q', isListed: true }
const at = (place: Place, value: string | null): Look => ({ ...place, value })
const by = (pid: number, time = 1_000): { doer: Doer; time: number } => ({ doer: { pid }, time })

/** What was told, in short: change, before, after, by what, by whom. */
function short({ change, before, after, seenBy, doer }: Act) {
  return [change, before, after, seenBy, doer?.pid ?? null]
}

function told(book: ReturnType<typeof ledger>, values: Record<string, string | null> = {}) {
  return book.settle(Infinity, ({ key }) => values[key] ?? null).map(short)
}

test('a write that the kernel told of is one act, whatever looks find it too', (t) => {
  const book = ledger()
  book.begin([at(pattern, 'core')])
  book.written(pattern, 'core', '|/x', by(5))
  // The kernel may not have carried it out yet, and then it has.
  book.looked([at(pattern, 'core')], 1_000)
  t.deepEqual(told(book, { core: '|/x' }), [['changed', 'core', '|/x', 'bpf', 5]])
  book.looked([at(pattern, '|/x')], 2_000)
  t.deepEqual(told(book), [])
})

test('set, used and put back are two acts, though every look finds what was there before', (t) => {
  const book = ledger()
  book.begin([at(pattern, 'core')])
  book.written(pattern, 'core', '|/x', by(5))
  book.written(pattern, '|/x', 'core', by(5))
  t.deepEqual(told(book, { core: 'core' }), [
    ['changed', 'core', '|/x', 'bpf', 5],
    ['changed', '|/x', 'core', 'bpf', 5],
  ])
})

test('a write that the kernel did not take is refused, the next one and the last one alike', (t) => {
  const book = ledger()
  book.begin([at(pattern, 'core')])
  book.written(pattern, 'core', '@bad', by(5))
  book.written(pattern, 'core', '@worse', by(6))
  t.deepEqual(told(book, { core: 'core' }), [
    ['refused', 'core', '@bad', 'bpf', 5],
    ['refused', 'core', '@worse', 'bpf', 6],
  ])
  book.looked([at(pattern, 'core')], 2_000)
  t.deepEqual(told(book), [])
})

test('a write that was only slow is told with its writer when a look finds it', (t) => {
  const book = ledger()
  book.begin([at(pattern, 'core')])
  book.written(pattern, 'core', '|/x', by(5))
  t.deepEqual(told(book, { core: 'core' }), [['refused', 'core', '|/x', 'bpf', 5]])
  book.looked([at(pattern, '|/x')], 2_000)
  t.deepEqual(told(book, { core: '|/x' }), [['changed', 'core', '|/x', 'bpf', 5]])
})

test('a write of what is there already changes nothing, and is told as that', (t) => {
  const book = ledger()
  book.begin([at(pattern, 'core')])
  book.written(pattern, 'core', 'core', by(5))
  t.deepEqual(told(book, { core: 'core' }), [['rewritten', 'core', 'core', 'bpf', 5]])
})

test('what nobody was seen doing is found by looking, once', (t) => {
  const book = ledger()
  book.begin([at(agent, null)])
  book.looked([at(agent, '/x')], 2_000)
  book.looked([at(agent, '/x')], 3_000)
  t.deepEqual(told(book), [['changed', null, '/x', 'poll', null]])
})

test('a file that is made, written in pieces and closed is one act', (t) => {
  const book = ledger()
  book.begin([at(preload, null)])
  for (const value of ['/a.so', '/a.so\n/b.so', '/a.so\n/b.so']) book.touched(at(preload, value), by(5))
  t.deepEqual(told(book), [['changed', null, '/a.so\n/b.so', 'fanotify', 5]])
})

test('two processes at one file are two acts', (t) => {
  const book = ledger()
  book.begin([at(preload, null)])
  book.touched(at(preload, '/a.so'), by(5))
  book.touched(at(preload, '/b.so'), by(6))
  t.deepEqual(told(book), [
    ['changed', null, '/a.so', 'fanotify', 5],
    ['changed', '/a.so', '/b.so', 'fanotify', 6],
  ])
})

test('one process that puts a file back has done two acts', (t) => {
  const book = ledger()
  book.begin([at(agent, null)])
  book.touched(at(agent, '/x'), by(5))
  book.touched(at(agent, null), by(5))
  t.deepEqual(told(book), [
    ['changed', null, '/x', 'fanotify', 5],
    ['changed', '/x', null, 'fanotify', 5],
  ])
})

test('a write that left no trace is an act as well', (t) => {
  const book = ledger()
  book.begin([at(agent, null)])
  book.touched(at(agent, null), by(5))
  t.deepEqual(told(book), [['rewritten', null, null, 'fanotify', 5]])
})

test('a place that nobody knew had nobody knows what before, and none after when it is gone', (t) => {
  const book = ledger()
  book.touched(at(agent, '1'), by(5))
  book.touched({ ...preload, value: undefined }, by(6))
  t.deepEqual(told(book), [
    ['changed', undefined, '1', 'fanotify', 5],
    ['changed', undefined, undefined, 'fanotify', 6],
  ])
})

test('an entry of a list is new when it comes and removed when it goes, but for what was there from the start', (t) => {
  const book = ledger()
  const other = { ...qemu, key: 'r', path: '/proc/sys/fs/binfmt_misc/r' }
  book.begin([at(qemu, 'enabled')])
  book.looked([at(qemu, 'enabled'), at(other, 'enabled')], 1_000)
  book.looked([at(other, 'enabled')], 2_000)
  t.deepEqual(
    book.listed().map(({ key }) => key),
    ['r'],
  )
  t.deepEqual(told(book), [
    ['changed', null, 'enabled', 'poll', null],
    ['changed', 'enabled', null, 'poll', null],
  ])
})

test('a place that comes with a hierarchy is taken as it is, and forgotten with it', (t) => {
  const book = ledger()
  book.begin([])
  book.looked([at(agent, '/lib/systemd/agent')], 1_000)
  book.looked([], 2_000)
  book.looked([at(agent, '/another')], 3_000)
  t.deepEqual(told(book), [])
})

test('a loop of writes is bounded, what had no room is counted, and nothing else is hidden', (t) => {
  const book = ledger()
  book.begin([at(pattern, 'core')])
  for (let times = 0; times < 300; times += 1) book.written(pattern, 'core', `${times}`, by(5))
  book.touched(at(agent, '/x'), by(6))
  t.is(told(book).length, 64 + 1)
  t.is(book.takeDropped(), 236)
  t.is(book.takeDropped(), 0)
})

test('a file that is opened to be written anew, and written a while after, is one act', (t) => {
  const book = ledger()
  book.begin([at(agent, '/old')])
  book.touched(at(agent, '/old'), by(5, 1_000))
  t.deepEqual(
    book.settle(1_200, () => null),
    [],
  )
  book.touched(at(agent, '/new'), by(5, 1_201))
  t.deepEqual(told(book), [['changed', '/old', '/new', 'fanotify', 5]])
})

test('what was done just now waits', (t) => {
  const book = ledger()
  book.begin([at(pattern, 'core')])
  book.written(pattern, 'core', '|/x', by(5, 1_000))
  t.deepEqual(
    book.settle(999, () => '|/x'),
    [],
  )
  t.true(book.isPending())
  t.is(book.settle(1_000, () => '|/x').length, 1)
  t.false(book.isPending())
})
