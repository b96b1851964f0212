import test from 'ava'
import { timesOfExec, timesOfProcess } from '../../agent/model/times.ts'

test('an act that was found later began at its start, and was last seen when it was found', (t) => {
  t.deepEqual(timesOfExec({ time: 1, foundAt: 5 }), { time: 1, lastSeen: 5 })
  t.deepEqual(timesOfProcess({ time: 5, since: 1 }), { time: 1, lastSeen: 5 })
})

test('an act that was seen as it happened has one time', (t) => {
  t.deepEqual(timesOfExec({ time: 1 }), { time: 1 })
  t.deepEqual(timesOfProcess({ time: 5 }), { time: 5 })
})

test('no act begins after it was seen: start times have a resolution of 10 ms', (t) => {
  t.deepEqual(timesOfProcess({ time: 5, since: 9 }), { time: 5, lastSeen: 5 })
})
