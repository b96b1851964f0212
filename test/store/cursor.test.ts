import test from 'ava'
import { storedCursor } from '../../agent/store/cursor.ts'

function cursorOver(state: Map<string, string>) {
  let time = 0
  const store = {
    getState: (key: string) => state.get(key) ?? null,
    setState: (key: string, value: string) => void state.set(key, value),
  }
  const cursor = storedCursor(store, () => time)
  return {
    cursor,
    at: (ms: number) => (time = ms),
    again: () => storedCursor(store, () => time).load()?.timeNano,
  }
}

test('the place that is kept lags five seconds behind what was read', (t) => {
  const { cursor, at, again } = cursorOver(new Map())
  for (const second of [0, 1, 2, 3, 4]) {
    at(second * 1_000)
    cursor.save({ timeNano: String(second), recent: [] })
  }
  t.is(again(), undefined)
  at(5_000)
  cursor.save({ timeNano: '5', recent: [] })
  t.is(again(), '0')
  at(7_500)
  cursor.save({ timeNano: '7', recent: [] })
  t.is(again(), '2')
})

test('a place that cannot be read is none', (t) => {
  for (const text of ['', '{', 'null', '5', '{"timeNano":5,"recent":[]}', '{"timeNano":"5","recent":[5]}']) {
    t.is(cursorOver(new Map([['docker-events-cursor', text]])).cursor.load(), null, text)
  }
})
