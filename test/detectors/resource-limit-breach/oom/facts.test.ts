import test from 'ava'
import { type OomFact, recordFact } from '../../../../detectors/resource-limit-breach/oom/facts.ts'
import { emptyLedger } from '../../../../detectors/resource-limit-breach/oom/ledger.ts'
import { fixtureId } from '../../../sources/resources/samples.ts'
import {
  alive,
  child,
  count,
  death,
  dying,
  event,
  exited,
  flagged,
  init,
  kill,
  killed,
  late,
  reportsOf,
  sigkillRequest,
  started,
} from './oom-facts.ts'

test('the first process is killed: one finding, for any order and delay of the facts', (t) => {
  for (const delay of [1, late]) {
    for (const facts of ordersOf([init(1_000), killed(1_000 + delay), event(1_000 + delay)])) {
      t.deepEqual(reportsOf([started(), ...facts]), [death])
    }
    for (const facts of ordersOf([event(1_000 + delay), killed(1_000 + delay)])) {
      t.deepEqual(reportsOf([started(), ...facts]), [death])
      t.deepEqual(reportsOf([started(), count(0, 0), dying(1_000, 1), ...facts]), [death])
      t.deepEqual(reportsOf([count(0, 3), dying(1_000, 4), dying(6_000, 4), ...facts]), [death])
    }
    for (const facts of ordersOf([init(1_000), dying(1_001, 1), event(1_000 + delay)])) {
      t.deepEqual(reportsOf([started(), ...facts, killed(1_002 + delay)]), [death])
    }
    t.deepEqual(reportsOf([started(), flagged(1_000 + delay), event(1_000 + delay)]), [death])
    t.deepEqual(reportsOf([started(), init(1_000), flagged(1_000 + delay), event(late)]), [death])
  }
})

test('another process is killed: one finding, for any order and delay of the facts', (t) => {
  for (const delay of [1, late]) {
    const after = 2_000 + delay
    for (const facts of ordersOf([child(1_000), event(1_000 + delay), alive(after, 1)])) {
      t.deepEqual(
        reportsOf([
          started(),
          ...facts,
          alive(after + 5_000, 1),
          sigkillRequest(after + 5_001),
          flagged(after + 5_002),
        ]),
        [kill],
      )
    }
    for (const facts of ordersOf([event(1_000 + delay), alive(after, 1), alive(after + 5_000, 1)])) {
      t.deepEqual(reportsOf([count(0, 0), ...facts, alive(after + 9_000, 1), exited(late * 2)]), [kill])
    }
    t.deepEqual(reportsOf([started(), exited(500), event(500 + delay)]), [kill])
    t.deepEqual(reportsOf([started(), event(400), exited(500 + delay, 1)]), [kill])
  }
})

test('memory stays bounded with unlimited facts', (t) => {
  let ledger = emptyLedger
  for (let time = 0; time < 1_000; time++) {
    for (const fact of [event(time), killed(time), started(time), init(time)])
      [ledger] = recordFact(ledger, fact)
  }
  t.true(ledger.events.length <= 64 && ledger.unexplained.length <= 64 && ledger.initVictims.length <= 64)
})

test('a kill has the same event key after a restart of the daemon, whichever fact reports it', (t) => {
  const actsOf = (facts: readonly OomFact[]) => {
    let ledger = emptyLedger
    return facts.flatMap((fact) => {
      const [next, reports] = recordFact(ledger, fact)
      ledger = next
      return reports.map(({ detection }) => detection.eventKey)
    })
  }
  const eventKey = `oom:${fixtureId}:1000:1`
  t.deepEqual(actsOf([count(0, 0), alive(1, 1), alive(2, 1)]), [eventKey])
  t.deepEqual(actsOf([count(0, 0), child(1)]), [eventKey])
  t.deepEqual(actsOf([event(1), alive(2, 1), alive(3, 1)]), [eventKey])
})

/** All orders of some facts. */
function ordersOf<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]]
  return items.flatMap((item, index) => ordersOf(items.toSpliced(index, 1)).map((rest) => [item, ...rest]))
}
