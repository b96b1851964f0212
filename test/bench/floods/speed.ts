import { setTimeout as sleep } from 'node:timers/promises'
import { busyboxImage } from '../../support/busybox-image.ts'
import { docker } from '../../support/processes.ts'
import { type Bundle, startBundled } from '../bundled.ts'
import { execsFor, forksOfHost, prefix, removeWhatIsLeft, sleeping } from './real.ts'

const settleMs = 10_000

/** Operations per second without and with the daemon; `ratio` is the median of the ratios of all rounds. */
export type Speed = { name: string; without: number; with: number; ratio: number }

/** How much monitoring slows down the engine and a container. Rounds alternate, so that other load affects both. */
export async function speeds(bundle: Bundle, rounds: number, seconds: number): Promise<Speed[]> {
  const name = await sleeping('speed')
  const loads: Record<string, () => Promise<number>> = {
    'docker run --rm': () => runsFor(seconds),
    'execs by the API, 8 at a time': async () => (await execsFor(name, seconds)) / seconds,
    'processes of a container, 2 loops': () => forksFor(name, seconds),
  }
  const all = new Map(
    Object.keys(loads).map((load) => [load, { without: [] as number[], with: [] as number[] }]),
  )
  try {
    for (let round = 0; round < rounds; round += 1) {
      // Both variants run first equally often.
      const order = (['without', 'with'] as const).toSorted(() => (round % 2 === 0 ? 0 : -1))
      for (const which of order) {
        const daemon = which === 'with' ? await startBundled(bundle) : undefined
        try {
          // Excludes the daemon's work at start.
          if (daemon !== undefined) await sleep(settleMs)
          for (const [load, run] of Object.entries(loads)) all.get(load)?.[which].push(await run())
        } finally {
          await daemon?.stop()
        }
      }
    }
  } finally {
    await removeWhatIsLeft()
  }
  return [...all].map(([load, { without, with: watched }]) => ({
    name: load,
    without: median(without),
    with: median(watched),
    ratio: median(watched.map((value, round) => value / (without[round] ?? NaN))),
  }))
}

async function runsFor(seconds: number): Promise<number> {
  const image = await busyboxImage()
  const startMs = performance.now()
  let count = 0
  for (; performance.now() - startMs < seconds * 1_000; count += 1)
    await docker('run', '--rm', '--network=none', '--name', `${prefix}-run-${count}`, image, 'true')
  return (count / (performance.now() - startMs)) * 1_000
}

async function forksFor(name: string, seconds: number): Promise<number> {
  const loop = `end=$(($(date +%s) + ${seconds})); while [ $(date +%s) -lt $end ]; do
    i=0; while [ $i -lt 200 ]; do (:); i=$((i+1)); done; done`
  const [forks, startMs] = [forksOfHost(), performance.now()]
  await docker('exec', name, 'sh', '-c', `for j in 1 2; do (${loop}) & done; wait`)
  return ((forksOfHost() - forks) / (performance.now() - startMs)) * 1_000
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN
}
