import { configuration } from '../../agent/daemon/configuration.ts'
import test from 'ava'
import fc from 'fast-check'
import { Subject } from 'rxjs'
import { currentConfig } from '../../agent/config/current.ts'
import { reload } from '../../agent/config/reload.ts'
import type { Config } from '../../agent/config/schema.ts'
import type { EventsLost, ExecObservation, Observation } from '../../agent/model/observation.ts'
import { execLedger } from '../../agent/exec-ledger/ledger.ts'
import { detect, observationsByKind } from '../../agent/daemon/pipeline.ts'
import { detectors } from '../../detectors/index.ts'
import { emptyMemory, silent } from '../support/observed.ts'
import { sampleExec } from '../support/samples.ts'
import { until } from '../support/until.ts'

function configOf(value: object = {}): Config {
  const parsed = configuration.parseValue(value)
  if ('config' in parsed) return parsed.config
  throw new Error(parsed.issues.map(({ message }) => message).join('\n'))
}

test('an invalid configuration changes nothing, and all its errors are reported', (t) => {
  const result = reload(configOf(), () => {
    throw new Error('t.yml:1:1 a: unknown key\nt.yml:2:1 b: unknown key')
  })
  t.deepEqual(result, { ok: false, problems: ['t.yml:1:1 a: unknown key', 't.yml:2:1 b: unknown key'] })
})

test('settings that a running daemon cannot change are kept and listed, the others take effect', (t) => {
  const inUse = configOf({ log: { format: 'json' } })
  const result = reload(inUse, () =>
    configOf({
      log: { format: 'text', level: 'debug' },
      web: { listen_addresses: [':1'] },
      docker: { host: 'tcp://x:1' },
      host_name: 'other',
      state_directory: '/other',
      policy: { trust_labels: true },
    }),
  )
  if (!result.ok) throw new Error('refused')
  t.deepEqual(result.atNextStart, ['docker', 'state_directory', 'host_name', 'web', 'log.format'])
  t.deepEqual(result.changed.toSorted(), ['log', 'policy'])
  t.like(result.config, { log: { level: 'debug', format: 'json' }, policy: { trust_labels: true } })
  t.deepEqual(result.config.web, inUse.web)
})

test('part$ emits only when its part of the configuration changes', (t) => {
  const current = currentConfig(configOf())
  const seen: number[] = []
  current.part$(({ sources }) => sources.resources).subscribe(({ interval }) => seen.push(interval))
  current.replace(configOf({ policy: { trust_labels: true } }))
  current.replace(configOf({ sources: { resources: { interval: '10s' } } }))
  current.replace(configOf({ sources: { resources: { interval: '10s' }, processes: { mode: 'procfs' } } }))
  t.deepEqual(seen, [5_000, 10_000])
})

// One of each kind: no change, the policy, settings that a detector follows, and settings that restart it.
const configurations: readonly Config[] = [
  {},
  { policy: { trust_labels: true, throttle: { fold: '1s' } } },
  { detectors: { 'exec-into-container': { settle: '1s', learn_after: 3 } } },
  { detectors: { 'monitor-integrity': { lost_window: '2m' } } },
  { detectors: { 'monitor-integrity': { degraded_hold: '1s', lost_window: '3s' } } },
  {
    detectors: {
      'resource-limit-breach': { overrides: [{ match: { name: 'web-*' }, memory: { ratio: 0.95 } }] },
    },
  },
].map(configOf)

type Step = { reloadTo: number } | { exec: true } | { lost: true }

test('reloads between observations neither lose nor duplicate any', async (t) => {
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 1, arbitrary: fc.nat(configurations.length - 1).map((reloadTo) => ({ reloadTo })) },
    { weight: 3, arbitrary: fc.constant<Step>({ exec: true }) },
    { weight: 2, arbitrary: fc.constant<Step>({ lost: true }) },
  )
  await t.notThrowsAsync(
    fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60 }), async (steps) => {
        const expected = steps.flatMap((one, index) => ('reloadTo' in one ? [] : [String(index)]))
        const found = await foundBy(steps, expected.length)
        return found.length === expected.length && found.toSorted().join() === expected.toSorted().join()
      }),
      { numRuns: 60 },
    ),
  )
})

/** The numbers of the steps that were found. */
async function foundBy(steps: readonly Step[], count: number): Promise<string[]> {
  // A separate clock, so that no two events have the same time.
  let time = Date.now()
  const now = () => (time += 1)
  const current = currentConfig(configurations[0] ?? configOf())
  const observations$ = new Subject<Observation>()
  const found: string[] = []
  const execs = execLedger(emptyMemory())
  const ledger = observations$.subscribe(execs.observe)
  const subscription = detect({
    detectors,
    observed: { ...silent, ...observationsByKind(observations$), execs },
    config: current,
    memoryOf: emptyMemory,
    now,
    onFailure: (name, error) => found.push(`${name} failed: ${String(error)}`),
  }).subscribe(({ detection }) => {
    const { rule, eventKey = '', evidence } = detection
    if (detection.isUpdate !== true)
      found.push(
        rule === 'events-lost' ? (evidence['reason'] as string) : eventKey.slice(0, eventKey.indexOf('f')),
      )
  })
  for (const [index, one] of steps.entries()) {
    if ('reloadTo' in one) current.replace(configurations[one.reloadTo] ?? configOf())
    else observations$.next('exec' in one ? exec(String(index), now()) : lost(String(index), now()))
  }
  await until(() => found.length >= count)
  subscription.unsubscribe()
  ledger.unsubscribe()
  return found
}

function exec(number: string, time: number): ExecObservation {
  return sampleExec({ time, execId: number.padEnd(64, 'f') })
}

function lost(reason: string, time: number): EventsLost {
  return { kind: 'events-lost', time, source: 'processes', reason, count: 1 }
}
