import { setTimeout as sleep } from 'node:timers/promises'
import type { SerialFn, TestFn } from 'ava'

const isEmulated = process.env['TIDEWATCH_TEST_HOST'] === 'emulated'

/** The factor for timeouts: an emulated host is ten times slower than a real machine, which may also be shared. */
export const patience = isEmulated ? 20 : 1

/** For tests that mostly wait: in parallel on a real machine, one after another on an emulated host. */
export function parallelTest<Context>(test: TestFn<Context>): SerialFn<Context> | TestFn<Context> {
  return isEmulated ? test.serial : test
}

/** For work that mostly waits: all items in parallel on a real machine, one after another on an emulated host. */
export async function forEachInParallel<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  if (!isEmulated) await Promise.all(items.map(work))
  else for (const item of items) await work(item)
}

/** The number of repetitions: `count` on a real machine, a tenth on an emulated host, rounded up to a multiple of 4. */
export function scaled(count: number): number {
  return multipleOfFour(count / (isEmulated ? 10 : 1))
}

/** Whether this is `npm run test:full`, which runs the full number of repetitions. */
export const isFull = process.env['TIDEWATCH_TEST_FULL'] !== undefined && !isEmulated

/** Like `scaled`, but `count` only in a full run, and an eighth in an ordinary run. */
export function fullRunCount(count: number): number {
  return multipleOfFour(isFull ? count : count / (isEmulated ? 20 : 8))
}

function multipleOfFour(count: number): number {
  return Math.ceil(count / 4) * 4
}

// Polling takes CPU time from the awaited work, so the pauses grow.
const shortestPauseMs = 20
const longestPauseMs = 250

/** Polls `look` until it returns something, and resolves to that; the timeout error contains the source of `look`. */
export async function until<T>(
  look: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 30_000,
): Promise<T> {
  const end = performance.now() + timeoutMs * patience
  let failure: unknown
  for (let pauseMs = shortestPauseMs; ; pauseMs = Math.min(pauseMs * 1.25, longestPauseMs)) {
    try {
      const found = await look()
      if (found !== undefined && found !== false) return found
    } catch (error) {
      failure = error
    }
    if (performance.now() > end) {
      throw new Error(`still not so after ${timeoutMs} ms: ${look.toString()}`, { cause: failure })
    }
    await sleep(pauseMs)
  }
}
