import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { defer, EMPTY, firstValueFrom, NEVER } from 'rxjs'
import { backoffMs, fromAbortable, poll, supervise } from '../../agent/lib/streams.ts'
import { marbles } from '../support/marbles.ts'

test('a failing stream emits a notice and is restarted', (t) => {
  marbles(t, ({ cold, expectObservable, expectSubscriptions }) => {
    const work$ = cold('a-#')
    const supervised$ = supervise(work$, () => 'x', { first: 0, max: 0 })
    expectObservable(supervised$, '---!').toBe('a-(xa)')
    expectSubscriptions(work$.subscriptions).toBe(['^-!', '--^!'])
  })
})

test('the wait before a retry doubles, is capped and has jitter', (t) => {
  const limits = { first: 200, max: 30_000 }
  const table: [number, number, number][] = [
    [1, 100, 200],
    [2, 200, 400],
    [5, 1_600, 3_200],
    [9, 15_000, 30_000],
    [1_000, 15_000, 30_000],
  ]
  for (const [attempt, least, most] of table) {
    t.is(
      backoffMs(attempt, limits, () => 0),
      least,
    )
    t.is(
      backoffMs(attempt, limits, () => 1),
      most,
    )
  }
})

test('the backoff resets once the stream has emitted', (t) => {
  const waits: number[] = []
  marbles(t, ({ cold, expectObservable }) => {
    const attempts = ['#', '#', 'a#', 'b']
    const work$ = defer(() => cold(attempts.shift() ?? ''))
    const supervised$ = supervise(
      work$,
      () => undefined,
      { first: 2, max: 100 },
      (attempt) => {
        waits.push(attempt)
        return 1
      },
    )
    expectObservable(supervised$, '------!').toBe('--a-b-')
  })
  t.deepEqual(waits, [1, 2, 1])
})

test('polling never runs twice at the same time, and continues after a failed call', (t) => {
  const errors: unknown[] = []
  marbles(t, ({ cold, expectObservable }) => {
    const calls = ['---a|', '#', 'b|']
    const polled$ = poll(() => cold(calls.shift() ?? 'c|'), {
      everyMs: 2,
      timeoutMs: 100,
      onError: (error) => errors.push(error),
    })
    expectObservable(polled$, '-----------!').toBe('---a--b-c-c')
  })
  t.deepEqual(errors, ['error'])
})

test('a call that hangs is abandoned, and the next one runs', (t) => {
  marbles(t, ({ cold, expectObservable }) => {
    const calls = [NEVER, cold('a|')]
    const polled$ = poll(() => calls.shift() ?? EMPTY, { everyMs: 2, timeoutMs: 5, onError: () => undefined })
    expectObservable(polled$, '----------!').toBe('------a---')
  })
})

test('unsubscribing aborts the work', async (t) => {
  const seen: string[] = []
  const work$ = fromAbortable(async (signal) => {
    signal.addEventListener('abort', () => seen.push('aborted'))
    await sleep(10)
    seen.push('done')
    return 1
  })
  const subscription = work$.subscribe()
  subscription.unsubscribe()
  t.deepEqual(seen, ['aborted'])
  t.is(await firstValueFrom(work$), 1)
  await t.throwsAsync(firstValueFrom(fromAbortable(() => Promise.reject(new Error('no')))), { message: 'no' })
})
