import test from 'ava'
import {
  type Case,
  alive,
  child,
  count,
  deadline,
  death,
  event,
  exited,
  group,
  init,
  kill,
  killed,
  started,
  testCases,
} from './oom-facts.ts'

const table: Case[] = [
  ['each of several victims', [started(), child(1, 7), child(1, 8), alive(2, 2), alive(3, 2)], [kill, kill]],
  ['a victim that was counted before', [count(0, 0), alive(1, 1), child(2), alive(3, 1), event(4)], [kill]],
  ['one of two that the kernel names', [count(0, 0), alive(1, 2), child(1), alive(2, 2)], [kill, kill]],
  [
    'a victim that is not counted, and a kill after it',
    [count(0, 0), child(1), alive(2, 0), alive(3, 1), alive(4, 1)],
    [kill, kill],
  ],
  ['a group with the first process', [started(), ...group(7, 8), init(1), killed(2), event(3)], [death]],
  ['a group without the first process', [started(), ...group(7, 8), exited(2)], [`${kill} 2`]],
  [
    'a first process whose death is never reported',
    [started(), init(1), deadline, event(2), killed(3)],
    [death],
  ],
]

testCases(test, table)
