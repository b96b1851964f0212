import { setTimeout as sleep } from 'node:timers/promises'

/** How many times slower than a real machine this one is: an emulated host is ten times slower. */
export const patience = process.env['TIDEWATCH_TEST_HOST'] === 'emulated' ? 10 : 1

/** As many as a test does on a real machine, in fours; a tenth of it on one that is ten times slower. */
export function scaled(count: number): number {
  return Math.ceil(count / patience / 4) * 4
}

/** Waits until a look finds something, and resolves to that; fails by saying what was looked for. */
export async function until<T>(
  look: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 15_000,
): Promise<T> {
  const end = performance.now() + timeoutMs * patience
  let failure: unknown
  for (;;) {
    try {
      const found = await look()
      if (found !== undefined && found !== false) return found
    } catch (error) {
      failure = error
    }
    if (performance.now() > end) {
      throw new Error(`still not so after ${timeoutMs} ms: ${look.toString()}`, { cause: failure })
    }
    await sleep(20)
  }
}
