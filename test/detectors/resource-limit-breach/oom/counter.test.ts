import test from 'ava'
import { lifecycle } from '../../../sources/resources/samples.ts'
import {
  type Case,
  alive,
  count,
  death,
  dying,
  event,
  exited,
  kill,
  killed,
  late,
  started,
  testCases,
} from './oom-facts.ts'

const table: Case[] = [
  // The counter.
  ['several kills between two samples', [count(0, 0), alive(1, 3), alive(2, 3)], [`${kill} 3`]],
  ['several kills and one engine event', [count(0, 0), event(1), alive(2, 3), alive(3, 3)], [`${kill} 3`]],
  ['a kill while another is undecided', [count(0, 0), alive(1, 1), alive(2, 2), alive(3, 2)], [kill, kill]],
  ['kills from before the daemon', [count(0, 3), alive(1, 3), alive(2, 3)], []],
  ['a kill whose event came before the first sample', [event(0), alive(1, 1), alive(2, 1)], [kill]],
  ['the first sample after a start', [started(), alive(1, 1), alive(2, 1)], [kill]],
  ['a counter that decreased', [count(0, 5), alive(1, 2), alive(2, 2)], [`${kill} 2`]],
  [
    'a counter that is missing in one sample',
    [count(0, 1), count(1, null), alive(2, 2), alive(3, 2)],
    [kill],
  ],
  ['a death without a following start', [count(0, 0), exited(1), count(2, 4), count(3, 4)], []],
  [
    'a new run counts from 0',
    [count(0, 2), exited(1), started(2), count(3, 0), alive(4, 1), alive(5, 1)],
    [kill],
  ],
  ['a replay of an old run', [lifecycle(10, 'seen'), count(10, 3), exited(4), started(5), alive(15, 3)], []],
  // What proves that the container survived.
  ['a sample in which the first process is ending', [count(0, 0), dying(1, 1), dying(9_000, 1)], []],
  ['the sample that shows a kill first', [count(0, 0), alive(1, 1)], []],
  ['an ending first process that dies', [count(0, 0), dying(1, 1), dying(9_000, 1), killed(late)], [death]],
]

testCases(test, table)
