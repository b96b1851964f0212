import test from 'ava'
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
  sigkillRequest,
  started,
  testCases,
} from './oom-facts.ts'

const table: Case[] = [
  ['docker kill', [started(), sigkillRequest(1), killed(2)], []],
  [
    'docker kill after a kill that was survived',
    [started(), child(1), event(2), sigkillRequest(3), flagged(4)],
    [kill],
  ],
  [
    'docker kill while a kill is undecided',
    [started(), count(0, 0), dying(1, 1), sigkillRequest(2), killed(3)],
    [kill],
  ],
  ['a SIGKILL of unknown origin', [started(), killed(1)], []],
  [
    'a SIGKILL of unknown origin after a child was killed',
    [count(0, 0), alive(1, 1), alive(2, 1), killed(3), event(late)],
    [kill],
  ],
  ['a flag from before the daemon', [lifecycle(0, 'seen', { oomKilled: true }), flagged(late)], []],
  [
    'a flag and an exit code other than 137',
    [started(), event(1), lifecycle(2, 'died', { exitCode: 1, oomKilled: true })],
    [kill],
  ],
  ['two events of the last kill', [started(), event(1), event(2), killed(3)], [death]],
  [
    'two events of a counted death',
    [started(), count(0, 0), dying(1, 1), event(2), event(3), killed(4)],
    [death],
  ],
  ['two events of a death, the second late', [started(), event(1), killed(2), event(3)], [death]],
  [
    'three events of a death whose victim the kernel names',
    [started(), init(1), event(2), killed(3), event(4), event(5)],
    [death],
  ],
  [
    'two events of a child’s kill, and docker kill',
    [started(), child(1), event(2), event(3), sigkillRequest(4), killed(5)],
    [kill],
  ],
  ['two events of a kill, and an exit', [started(), event(1), event(2), exited(3, 1)], [kill]],
  ['two events before the first sample', [event(0), event(1), alive(2, 3), alive(3, 3)], [kill]],
  [
    'a death of a container whose child was killed long ago',
    [started(), count(0, 0), event(1), alive(2, 1), alive(3, 1), alive(4, 1), event(5), killed(6)],
    [kill, death],
  ],
  ['two events and nothing else', [event(1), event(2), deadline], [kill]],
  [
    'two kills that the kernel names, the second fatal',
    [started(), child(1), init(2), killed(3), event(4), event(late)],
    [kill, death],
  ],
  [
    'a victim that is not the first process, then a manual SIGKILL',
    [started(), child(1), killed(2), event(3)],
    [kill],
  ],
]

testCases(test, table)
