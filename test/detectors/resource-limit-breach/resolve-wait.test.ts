import test from 'ava'
import {
  continueWait,
  isWaitOver,
  type ResolveWait,
} from '../../../detectors/resource-limit-breach/resolve-wait.ts'

/** The wait after samples below the level at these seconds. */
const below = (...seconds: number[]): ResolveWait =>
  seconds.reduce<ResolveWait>((before, second) => continueWait(before, second * 1_000, 'below'), null)

const table: [title: string, seconds: number[], isOver: boolean][] = [
  ['the first sample starts a wait', [0], false],
  ['samples every five seconds make a minute', [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60], true],
  ['a minute that is not over yet is not enough', [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55], false],
  ['a late sample is no gap', [0, 5, 30, 35, 60], true],
  ['a gap restarts the wait', [0, 5, 10, 70, 75], false],
  ['a gap right after the first sample restarts it too', [0, 60], false],
  ['after a gap the minute counts from the sample that ended it', [0, 5, 65, 85, 105, 125], true],
  ['samples that are always five minutes apart are no gaps', [0, 300, 600], true],
  ['no configuration has samples further apart', [0, 400, 800, 1_200], false],
  ['a clock that is set back restarts it', [100, 120, 140, 90, 100, 110], false],
]

for (const [title, seconds, isOver] of table) {
  test(title, (t) => {
    t.is(isWaitOver(below(...seconds), 60_000), isOver)
  })
}

test('a wait ends without its reason, and restarts with another one', (t) => {
  t.is(continueWait(below(0, 5), 10_000, null), null)
  t.like(continueWait(below(0, 5), 10_000, 'unmeasured'), { reason: 'unmeasured', since: 10_000 })
  t.false(isWaitOver(null, 0))
  t.true(isWaitOver(below(7), 0))
})
