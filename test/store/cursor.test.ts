import test from 'ava'
import { storedCursor } from '../../agent/store/cursor.ts'

const key = 'docker-events-cursor'

function cursorOver(state: Map<string, string>, startedAt = 1_000_000) {
  let time = startedAt
  const store = {
    getState: (name: string) => state.get(name) ?? null,
    setState: (name: string, value: string) => void state.set(name, value),
  }
  return {
    cursor: storedCursor(store, () => time),
    turnClock: (seconds: number) => (time = startedAt + seconds * 1_000),
  }
}

const placeIn = (state: Map<string, string>) => cursorOver(state).cursor.load()?.timeNano

test('the stored position is five seconds behind the last read event', (t) => {
  const state = new Map([[key, '{"timeNano":"7","recent":["a"]}']])
  const { cursor, turnClock } = cursorOver(state)
  t.deepEqual(cursor.load(), { timeNano: '7', recent: ['a'] })
  for (const second of [0, 1, 2, 3, 4]) {
    turnClock(second)
    cursor.save({ timeNano: `10${second}`, recent: [] })
  }
  t.is(placeIn(state), '7')
  turnClock(5)
  cursor.save({ timeNano: '105', recent: [] })
  t.is(placeIn(state), '100')
  turnClock(7.5)
  cursor.save({ timeNano: '107', recent: [] })
  t.is(placeIn(state), '102')
})

test('the first run stores its start position, so that the next run resumes there', (t) => {
  const state = new Map<string, string>()
  t.deepEqual(cursorOver(state).cursor.load(), { timeNano: '1000000000000', recent: [] })
  t.is(cursorOver(state, 9_000_000).cursor.load()?.timeNano, '1000000000000')
})

test('an unreadable position is ignored', (t) => {
  for (const text of ['', '{', 'null', '5', '{"timeNano":5,"recent":[]}', '{"timeNano":"5","recent":[5]}']) {
    t.is(placeIn(new Map([[key, text]])), '1000000000000', text)
  }
})
