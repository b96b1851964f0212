import { configuration } from '../../agent/daemon/configuration.ts'
import test, { type ExecutionContext } from 'ava'
import { asyncScheduler } from 'rxjs'
import { currentConfig } from '../../agent/config/current.ts'
import { maintenance } from '../../agent/daemon/maintenance.ts'
import { marbles } from '../support/marbles.ts'

/** When each task ran within so many milliseconds; the configuration is replaced at each marble of `reloads`. */
function doneIn(
  t: ExecutionContext,
  ms: number,
  { reloads = '', expires = false, movedAsideAt = Infinity } = {},
) {
  const done: Record<string, number[]> = {}
  const noting = (duty: string) => () => void (done[duty] ??= []).push(asyncScheduler.now())
  const prune = noting('prune')
  marbles(t, ({ cold, expectObservable }) => {
    const current = currentConfig(configuration.defaults())
    cold(reloads).subscribe(() => current.replace(configuration.defaults()))
    const maintenance$ = maintenance({
      current,
      policy: { hasExpired: () => expires },
      publisher: {
        resolveUnconfirmed: noting('resolveUnconfirmed'),
        reconsider: noting('reconsider'),
        flushRepeats: noting('flushRepeats'),
        reportThrottled: noting('reportThrottled'),
        storeAgain: noting('storeAgain'),
      },
      queueForReceivers: noting('queueForReceivers'),
      store: {
        movedAside: () => (asyncScheduler.now() >= movedAsideAt ? 1 : 0),
        tryToRestore: noting('tryToRestore'),
        prune(retention, now) {
          t.deepEqual(retention, { maxAgeMs: 30 * 86_400_000, maxBytes: 256 * 1_048_576 })
          t.is(now, asyncScheduler.now())
          prune()
          return 0
        },
      },
      now: () => asyncScheduler.now(),
    })
    expectObservable(maintenance$, `${ms}ms !`).toBe('')
  })
  return done
}

test('each task has its own interval, and the store is also pruned at the start', (t) => {
  const { flushRepeats = [], ...others } = doneIn(t, 60_001)
  t.is(flushRepeats.length, 60)
  t.deepEqual(others, {
    prune: [0, 60_000],
    tryToRestore: [10_000, 20_000, 30_000, 40_000, 50_000, 60_000],
    reportThrottled: [60_000],
  })
})

test('conditions of an earlier run have two minutes to be confirmed, and two more after each reload', (t) => {
  t.deepEqual(doneIn(t, 600_000)['resolveUnconfirmed'], [120_000])
  const { resolveUnconfirmed } = doneIn(t, 600_000, { reloads: '60s a 200s b' })
  t.deepEqual(resolveUnconfirmed, [180_000, 380_001])
})

test('firing conditions are reconsidered when a policy entry has expired', (t) => {
  t.is(doneIn(t, 60_000)['reconsider'], undefined)
  t.deepEqual(doneIn(t, 30_001, { expires: true })['reconsider'], [0, 15_000, 30_000])
})

test('what is firing is stored and queued again once, after the store was replaced', (t) => {
  const { storeAgain, queueForReceivers } = doneIn(t, 60_000, { movedAsideAt: 15_000 })
  t.deepEqual(storeAgain, [20_000])
  t.deepEqual(queueForReceivers, [20_000])
})
