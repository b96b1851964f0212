import { PassThrough } from 'node:stream'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import fc from 'fast-check'
import { createLogger, transports } from 'winston'
import { createPublisher } from '../../agent/daemon/publisher.ts'
import type { Finding, Json } from '../../agent/model/finding.ts'
import { createRepeats } from '../../agent/policy/repeats.ts'
import { createThrottle } from '../../agent/policy/throttle.ts'
import { openDatabase } from '../../agent/store/database.ts'
import { prepareTables } from '../../agent/store/tables.ts'
import { execIntoContainer } from '../../detectors/exec-into-container/index.ts'
import { toAlert } from '../../exporters/alertmanager/alert.ts'
import { sampleFindings } from '../support/findings.ts'
import { sampleContainer, sampleDetection } from '../support/samples.ts'
import { fullRunCount } from '../support/until.ts'

/** What was really done, and how much later the caller becomes known; null at once. */
type RealAct = { actor: string; command: string; container: string; callerAfter: number | null; wait: number }

const realAct: fc.Arbitrary<RealAct> = fc.record({
  actor: fc.constantFrom('alice', 'bob', 'mallory'),
  command: fc.constantFrom('sh', 'cat /etc/shadow', 'echo deploy ok'),
  container: fc.constantFrom('web', 'db'),
  callerAfter: fc.option(fc.nat({ max: 5 }), { freq: 2 }),
  // Milliseconds until the next act, sometimes longer than the fold or the minute of a budget.
  wait: fc.oneof({ weight: 5, arbitrary: fc.constant(10) }, fc.constantFrom(70_000, 400_000)),
})

/** Findings, repeats, budgets and store as in the daemon, with receivers and a log that accept everything. */
function setUp(budget: number) {
  const clock = { now: 2_000_000 }
  const now = () => clock.now
  const store = prepareTables(openDatabase(':memory:'))
  const findings = sampleFindings({ now, newId: countedIds(), findByEventKey: store.findByEventKey })
  const logged: string[] = []
  const stream = new PassThrough().on('data', (line: Buffer) => void logged.push(line.toString()))
  const receiver = { minSeverity: 'info', sendResolved: true } as const
  const publisher = createPublisher({
    findings,
    repeats: createRepeats({ foldMs: () => 300_000, now }),
    throttle: createThrottle({ settings: () => ({ per_container: budget, per_rule: 2 * budget }), now }),
    store,
    metrics: { published: () => {}, suppressed: () => {}, detectorFailed: (name) => throwFor(name) },
    log: createLogger({ transports: [new transports.Stream({ stream })] }),
    receivers: () => [
      { name: 'am', queuedBy: 'alert', ...receiver },
      { name: 'hook', queuedBy: 'finding', ...receiver },
    ],
    now,
  })

  function report(
    { actor, command, container }: Pick<RealAct, 'actor' | 'command' | 'container'>,
    index: number,
    { isUpdate, isCallerKnown }: { isUpdate: boolean; isCallerKnown: boolean },
  ): void {
    const detection = sampleDetection({
      container: sampleContainer({ id: container.padEnd(64, '0'), name: container }),
      eventKey: `e${index}`,
      isUpdate,
      subject: command.split(' '),
      ...(isCallerKnown && { actor }),
      evidence: { command, ...(isCallerKnown && { caller: actor }) },
    })
    publisher.publish({ detector: execIntoContainer, detection })
  }

  return { clock, store, logged, publisher, report }
}

/** Runs the acts, and returns what people see of them. */
function run(acts: readonly RealAct[], budget: number) {
  const { clock, store, logged, publisher, report } = setUp(budget)
  let late: { at: number; index: number; act: RealAct }[] = []
  const reportCaller = ({ act, index }: (typeof late)[number]) =>
    report(act, index, { isUpdate: true, isCallerKnown: true })

  for (const [index, act] of acts.entries()) {
    const { callerAfter, wait } = act
    report(act, index, { isUpdate: false, isCallerKnown: callerAfter === null })
    if (callerAfter !== null) late.push({ at: index + callerAfter, index, act })
    // A caller becomes known within seconds, if it does.
    const known = late.filter(({ at }) => at <= index || wait > 60_000)
    known.forEach(reportCaller)
    late = late.filter((one) => !known.includes(one))
    publisher.flushRepeats()
    if (wait > 60_000) publisher.reportThrottled()
    clock.now += wait
  }
  late.forEach(reportCaller)
  publisher.finish()
  return { store, logged }
}

function countedIds(): () => string {
  let id = 0
  return () => String((id += 1)).padStart(6, '0')
}

function throwFor(name: string): never {
  throw new Error(`the detector ${name} failed`)
}

const actOf = ({ container, evidence: { caller, command } }: Finding) =>
  `${textOf(caller)} ${textOf(command)} ${container?.name ?? ''}`

const textOf = (value: Json) => (typeof value === 'string' ? value : '')

test('every distinct act is in store, log, webhook and Alertmanager, or is accounted for as throttled', (t) => {
  const property = fc.property(
    fc.array(realAct, { minLength: 1, maxLength: 40 }),
    fc.integer({ min: 1, max: 20 }),
    (acts, budget) => {
      const { store, logged } = run(acts, budget)
      const all = store.latest(1_000)
      const found = all.filter(({ rule }) => rule === 'exec-command')
      const throttled = all.filter(({ rule }) => rule === 'findings-throttled')
      const throttledCount = sum(throttled.map(({ evidence }) => Number(evidence['count'])))
      const foundCount = sum(found.map(({ count }) => count))
      if (foundCount + throttledCount !== acts.length)
        throw new Error(`${acts.length} acts, ${foundCount} in findings, ${throttledCount} throttled`)
      const distinct = new Set(
        acts.map(({ actor, command, container }) => `${actor} ${command} ${container}`),
      )
      const reported = new Set(found.map(actOf))
      const missing = [...distinct].filter((act) => !reported.has(act))
      if (missing.length > throttledCount) throw new Error(`nothing reports ${missing.join(', ')}`)
      const ids = found.map(({ id }) => id)
      const sent = new Map(store.due('hook', Infinity, 1_000).map(({ finding }) => [finding.id, finding]))
      if (!ids.every((id) => sent.has(id) && logged.some((line) => line.includes(`"id":"${id}"`))))
        throw new Error('a finding is not logged or not sent')
      if (found.some(({ id, count }) => sent.get(id)?.count !== count))
        throw new Error('the webhook has not learned of all repeats')
      const alerts = store.due('am', Infinity, 1_000).map(({ finding }) => finding)
      const alerted = new Set(alerts.map(actOf))
      if (found.some((finding) => !alerted.has(actOf(finding)))) throw new Error('an act has no alert')
      const describe = { runbookUrl: () => '', techniqueOf: () => '' }
      const labels = alerts.map((finding) =>
        JSON.stringify(toAlert(finding, { deliveredAt: null, now: 0, correctionMs: 0, describe }).labels),
      )
      if (new Set(labels).size !== labels.length) throw new Error('two findings share an alert')
    },
  )
  fc.assert(property, { numRuns: fullRunCount(400) })
  t.pass()
})

test('100,000 distinct commands in a minute are all accounted for, and keep the memory flat', (t) => {
  const { store, publisher, report } = setUp(60)
  const reportRange = (from: number, to: number) => {
    for (let n = from; n < to; n += 1) {
      const act = { actor: `user${n}`, command: `run ${n}`, container: 'web' }
      report(act, n, { isUpdate: false, isCallerKnown: true })
    }
    publisher.flushRepeats()
    return usedHeap()
  }
  const usedBefore = reportRange(0, 20_000)
  t.true(reportRange(20_000, 100_000) - usedBefore < 2 * 2 ** 20)
  publisher.reportThrottled()
  const [throttled, ...found] = store.latest(1_000)
  t.is(found.length, 60)
  t.is(throttled?.evidence['count'], 100_000 - 60)
})

/** Bytes in use after a garbage collection. */
function usedHeap(): number {
  setFlagsFromString('--expose-gc')
  ;(runInNewContext('gc') as () => void)()
  return process.memoryUsage().heapUsed
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
