import test from 'ava'
import { type KnownReceiver, queueForChangedReceivers } from '../../agent/daemon/receiver-changes.ts'
import { openDatabase } from '../../agent/store/database.ts'
import { prepareTables } from '../../agent/store/tables.ts'
import { sampleFinding } from '../support/samples.ts'

const hook: KnownReceiver = {
  name: 'hook',
  queuedBy: 'finding',
  minSeverity: 'warning',
  connectionKey: 'a',
}

function setUp(isFresh = true) {
  const store = prepareTables(openDatabase(':memory:'))
  if (!isFresh) store.setState('known-receivers', 'unknown')
  const firing = ['info', 'warning', 'critical'].map((severity) =>
    sampleFinding({ id: severity, fingerprint: severity, kind: 'condition', severity: severity as 'info' }),
  )
  for (const finding of firing) store.save(finding, null, [], 0)
  /** What is queued for each receiver once these are configured. */
  function queued(...receivers: KnownReceiver[]): Record<string, string> {
    queueForChangedReceivers({ store, receivers: () => receivers, firing: () => firing, now: () => 0 })()
    return Object.fromEntries(
      receivers.map(({ name }) => {
        const due = store.due(name, 0, 100).map(({ finding }) => finding.id)
        store.dequeue(name, due)
        return [name, due.join(' ')]
      }),
    )
  }
  return { queued }
}

test('an added receiver gets what is firing from its severity up, once', (t) => {
  const { queued } = setUp()
  t.deepEqual(queued(hook), { hook: 'critical warning' })
  t.deepEqual(queued(hook), { hook: '' })
  t.deepEqual(queued(hook, { ...hook, name: 'second' }), { hook: '', second: 'critical warning' })
})

test('a changed receiver, and one that is added again, gets it once more', (t) => {
  const { queued } = setUp()
  queued(hook)
  t.deepEqual(queued({ ...hook, minSeverity: 'info' }), { hook: 'critical info warning' })
  t.deepEqual(queued({ ...hook, minSeverity: 'info', connectionKey: 'b' }), { hook: 'critical info warning' })
  queued()
  t.deepEqual(queued(hook), { hook: 'critical warning' })
})

test('an upgrade of 0.1.0 queues nothing for its webhooks, which know it', (t) => {
  const { queued } = setUp(false)
  t.deepEqual(queued(hook), { hook: '' })
  t.deepEqual(queued(hook, { ...hook, name: 'second' }), { hook: '', second: 'critical warning' })
})

test('an Alertmanager gets it at every start: the same alert again changes nothing', (t) => {
  const { queued } = setUp(false)
  const alertmanager: KnownReceiver = { ...hook, name: 'am', queuedBy: 'alert' }
  t.deepEqual(queued(alertmanager), { am: 'critical warning' })
  t.deepEqual(queued(alertmanager), { am: 'critical warning' })
})
