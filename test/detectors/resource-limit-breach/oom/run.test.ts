import test from 'ava'
import { lastResortMs } from '../../../../detectors/resource-limit-breach/oom/deadline.ts'
import { lifecycle } from '../../../sources/resources/samples.ts'
import {
  type Case,
  alive,
  child,
  count,
  deadline,
  death,
  dying,
  event,
  exited,
  flagged,
  init,
  kill,
  killed,
  late,
  started,
  startedAt,
  testCases,
} from './oom-facts.ts'

const table: Case[] = [
  // Restarts.
  [
    'killed, restarted, killed',
    [started(), event(1), killed(2), started(3), event(4), killed(5)],
    [death, death],
  ],
  ['both events late', [started(), killed(2), started(3), killed(5), event(6), event(late)], [death, death]],
  ['an event in the next run', [started(), killed(2), started(3), event(4), count(5, 0)], [death]],
  [
    'an event of the next run',
    [started(), killed(2), started(3), event(4), alive(5, 1), alive(6, 1)],
    [kill],
  ],
  [
    'the next victim before the last death',
    [started(), init(1), init(7), killed(5), started(6), killed(8), event(9), event(10)],
    [death, death],
  ],
  ['killed before the engine reports its start', [init(1), started(2), killed(3), event(4)], [death]],
  [
    'killed before the engine reports its next start',
    [started(), killed(1), init(2), started(3), killed(4)],
    [death],
  ],
  [
    'a child killed before the engine reports the start',
    [lifecycle(0, 'created'), child(1), started(2), alive(3, 1), alive(4, 1), flagged(5)],
    [kill],
  ],
  [
    'a start that follows a missed end',
    [startedAt(1), init(2), startedAt(3), init(4), killed(5)],
    [death, death],
  ],
  ['a counted kill of a run whose end was missed', [startedAt(1), dying(2, 1), startedAt(3)], [kill]],
  ['a start that is reported twice', [startedAt(1), init(2), startedAt(1), killed(3)], [death]],
  ['a kill soon after a start', [exited(0), started(1), event(2), alive(3, 1), alive(4, 1)], [kill]],
  [
    'an event later than any engine’s delay',
    [started(), killed(1), started(2), event(lastResortMs + 2), count(lastResortMs + 3, 0)],
    [],
  ],
  // The last resort.
  ['an event and nothing else', [event(1), deadline], [kill]],
  ['a counted kill and nothing else', [count(0, 0), count(1, 1), deadline, alive(2, 1), killed(3)], [kill]],
  ['nothing is undecided', [count(0, 0), deadline], []],
]

testCases(test, table)
