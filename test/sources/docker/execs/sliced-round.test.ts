import test from 'ava'
import { createSlicedRound } from '../../../../agent/sources/docker/execs/sliced-round.ts'

test('a round visits all items in one call if the slice lasts', (t) => {
  const round = createSlicedRound(() => [1, 2, 3], 60_000)
  const visited: number[] = []
  t.false(round((item) => visited.push(item)))
  t.deepEqual(visited, [1, 2, 3])
})

test('a call continues where the last one stopped, and a new round starts with the first item', (t) => {
  const round = createSlicedRound(() => [1, 2], -1)
  const visited: number[] = []
  const calls = Array.from({ length: 4 }, () => round((item) => visited.push(item)))
  t.deepEqual(visited, [1, 2, 1])
  t.deepEqual(calls, [true, true, false, true])
})

test('a round without items needs no further call', (t) => {
  t.false(createSlicedRound(() => [])(() => t.fail()))
})
