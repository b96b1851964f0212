import test from 'ava'
import { type Case, alive, count, event, kill, killed, testCases } from './oom-facts.ts'

const table: Case[] = [
  ['an event that the counter contradicts', [count(0, 0), event(1), alive(2, 0), alive(3, 0), killed(4)], []],
  ['surplus events', [count(0, 0), event(1), event(2), alive(3, 1), alive(4, 1), killed(5)], [kill]],
  [
    'surplus events do not hide a later kill',
    [count(0, 0), event(1), alive(2, 0), alive(3, 1), alive(4, 1)],
    [kill],
  ],
]

testCases(test, table)
