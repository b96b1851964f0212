import test from 'ava'
import fc from 'fast-check'
import { BoundedMap, BoundedSet } from '../../agent/lib/bounded-map.ts'

test('a full map evicts its oldest entry and passes it on', (t) => {
  const evicted: [string, number][] = []
  const map = new BoundedMap<string, number>(2, (value, key) => evicted.push([key, value]))
  map.set('a', 1).set('b', 2)
  t.deepEqual(evicted, [])
  map.set('c', 3).set('d', 4)
  t.deepEqual([...map.keys()], ['c', 'd'])
  t.deepEqual(evicted, [
    ['a', 1],
    ['b', 2],
  ])
})

test('`set` keeps the age of an entry', (t) => {
  const map = new BoundedMap<string, number>(2)
  map.set('a', 1).set('b', 2).set('a', 3)
  t.is(map.get('a'), 3)
  map.set('c', 4)
  t.deepEqual([...map.keys()], ['b', 'c'])
})

test('`setNewest` makes an entry the newest without evicting it', (t) => {
  const evicted: string[] = []
  const map = new BoundedMap<string, number>(2, (_, key) => evicted.push(key))
  map.set('a', 1).set('b', 2).setNewest('a', 3)
  t.deepEqual(evicted, [])
  map.setNewest('c', 4)
  t.deepEqual(
    [...map],
    [
      ['a', 3],
      ['c', 4],
    ],
  )
  t.deepEqual(evicted, ['b'])
})

test('undefined is a key and a value like any other', (t) => {
  const map = new BoundedMap<undefined | string, undefined>(1)
  map.set(undefined, undefined).set('a', undefined)
  t.deepEqual([...map.keys()], ['a'])
})

test('deleted entries are not passed on as evicted, and make room', (t) => {
  const evicted: string[] = []
  const map = new BoundedMap<string, number>(2, (_, key) => evicted.push(key))
  map.set('a', 1).set('b', 2)
  map.delete('a')
  map.set('c', 3)
  t.deepEqual(evicted, [])
  t.is(map.size, 2)
})

test('an evicted entry is gone when it is passed on', (t) => {
  const map: BoundedMap<string, number> = new BoundedMap(1, (_, key) => {
    t.false(map.has(key))
    t.deepEqual([...map.keys()], ['b'])
  })
  t.plan(2)
  map.set('a', 1).set('b', 2)
})

test('a full set evicts its oldest value, and adding a value again keeps its age', (t) => {
  const set = new BoundedSet<string>(2)
  set.add('a').add('b').add('a').add('c')
  t.deepEqual([...set], ['b', 'c'])
})

test('any sequence of operations leaves the newest entries, oldest first', (t) => {
  const operations = fc.array(
    fc.record({
      kind: fc.constantFrom(...(['set', 'set', 'set', 'setNewest', 'delete', 'clear'] as const)),
      key: fc.nat(9),
    }),
    { maxLength: 200 },
  )
  fc.assert(
    fc.property(operations, (all) => {
      const map = new BoundedMap<number, number>(max)
      const set = new BoundedSet<number>(max)
      let entries: readonly [number, number][] = []
      let values: readonly number[] = []
      for (const [value, { kind, key }] of all.entries()) {
        const others = entries.filter(([known]) => known !== key)
        if (kind === 'clear') {
          map.clear()
          set.clear()
          entries = values = []
        } else if (kind === 'delete') {
          t.is(map.delete(key), others.length < entries.length)
          t.is(set.delete(key), values.includes(key))
          entries = others
          values = values.filter((known) => known !== key)
        } else {
          map[kind](key, value)
          set.add(key)
          const keepsAge = kind === 'set' && others.length < entries.length
          entries = keepsAge
            ? entries.map(([known, before]) => [known, known === key ? value : before])
            : [...others, [key, value] as [number, number]].slice(-max)
          values = values.includes(key) ? values : [...values, key].slice(-max)
        }
        t.deepEqual([...map], entries)
        t.deepEqual([...set], values)
      }
    }),
  )
})

const max = 5
