import test from 'ava'
import { longWrites } from '../../../../agent/sources/runtime-files/watch/long-writes.ts'

test('a write continues until it is closed', (t) => {
  const writing = longWrites()
  t.false(writing.isOngoing(7, 1000))
  writing.begin(7, 1000)
  t.true(writing.isOngoing(7, 1050))
  t.false(writing.isOngoing(8, 1050))
  writing.end(7)
  t.false(writing.isOngoing(7, 1051))
})

test('a write after ten seconds of silence is a new one', (t) => {
  const writing = longWrites()
  writing.begin(7, 1000)
  t.true(writing.isOngoing(7, 10_999))
  t.false(writing.isOngoing(7, 11_000))
  writing.begin(7, 10_999)
  t.true(writing.isOngoing(7, 20_000))
})
