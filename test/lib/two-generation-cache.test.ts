import test from 'ava'
import { twoGenerationCache } from '../../agent/lib/two-generation-cache.ts'

test('entries in use survive, and the cache never exceeds twice the maximum', (t) => {
  const known = twoGenerationCache<number, string>(10)
  known.set(-1, 'used')
  for (let n = 0; n < 1_000; n += 1) {
    known.set(n, `${n}`)
    t.is(known.get(-1), 'used')
    t.true([...known.values()].length <= 20)
  }
  t.is(known.get(999), '999')
  t.is(known.get(900), undefined)
  t.is([...known.values()].filter((value) => value === 'used').length, 1)
})

test('set returns true when entries were dropped', (t) => {
  const known = twoGenerationCache<number, number>(3)
  t.deepEqual(
    [1, 2, 3, 4, 5, 6, 7].map((n) => known.set(n, n)),
    [false, false, false, true, false, false, true],
  )
  t.deepEqual([...known.values()], [7, 4, 5, 6])
})
