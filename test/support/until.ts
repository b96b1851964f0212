import { setTimeout } from 'node:timers/promises'

/** Waits until something is so; fails by saying what was waited for. */
export async function until(isSo: () => boolean, timeoutMs = 10_000): Promise<void> {
  const end = performance.now() + timeoutMs
  while (!isSo()) {
    if (performance.now() > end) throw new Error(`still not so after ${timeoutMs} ms: ${isSo.toString()}`)
    await setTimeout(5)
  }
}
