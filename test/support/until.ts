import { setTimeout as sleep } from 'node:timers/promises'
import type { SerialFn, TestFn } from 'ava'

const isEmulated = process.env['TIDEWATCH_TEST_HOST'] === 'emulated'

/** How many times longer than on a real machine to wait: an emulated host is ten times slower, and may share its own. */
export const patience = isEmulated ? 20 : 1

/** For tests that mostly wait: beside each other on a real machine, one after another on an emulated host. */
export function besideOthers<Context>(test: TestFn<Context>): SerialFn<Context> | TestFn<Context> {
  return isEmulated ? test.serial : test
}

/** Does what mostly waits for all items at once on a real machine, one after another on an emulated host. */
export async function eachOf<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  if (!isEmulated) await Promise.all(items.map(work))
  else for (const item of items) await work(item)
}

/** As many as a test does on a real machine, in fours; a tenth of it on an emulated host. */
export function scaled(count: number): number {
  return inFours(count / (isEmulated ? 10 : 1))
}

/** `npm run test:full` repeats what is proved by many repetitions as often as it was first proved. */
export const isFull = process.env['TIDEWATCH_TEST_FULL'] !== undefined && !isEmulated

/** As many as a full run does, in fours; a quarter of it in an ordinary run, a tenth on an emulated host. */
export function ofMany(count: number): number {
  return isFull ? inFours(count) : inFours(count / (isEmulated ? 10 : 4))
}

function inFours(count: number): number {
  return Math.ceil(count / 4) * 4
}

// Looking costs time that what is waited for needs: the longer it takes, the more seldom it is looked for.
const shortestPauseMs = 20
const longestPauseMs = 250

/** Waits until a look finds something, and resolves to that; fails by saying what was looked for. */
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
