import { configuration } from '../../agent/daemon/configuration.ts'
import { renderTable } from '../../agent/cli/table.ts'
import { mutated } from '../config/mutate.ts'

// Damaged configurations: the result must be a valid configuration or a list of problems with positions, never a
// crash, and must not take long. FILES=100000 by default, SEED=0.

const files = Number(process.env['FILES'] ?? 100_000)
const first = Number(process.env['SEED'] ?? 0)
const crashes: string[] = []
let valid = 0
let problems = 0
let slowest = { ms: 0, seed: 0 }
const began = performance.now()

for (let seed = first; seed < first + files; seed += 1) {
  const text = mutated(seed)
  const at = performance.now()
  try {
    const parsed = configuration.parse(text)
    if ('config' in parsed) valid += 1
    else {
      problems += 1
      const isPlaced = parsed.problems.every(({ line, column }) => line >= 1 && column >= 1)
      if (parsed.problems.length === 0 || !isPlaced) crashes.push(`seed ${seed}: refused without a place`)
    }
  } catch (error) {
    crashes.push(`seed ${seed}: ${String(error)}`)
  }
  const ms = performance.now() - at
  if (ms > slowest.ms) slowest = { ms, seed }
}

const seconds = (performance.now() - began) / 1_000
process.stdout.write(
  renderTable(
    ['FILES', 'VALID', 'REFUSED', 'CRASHED', 'SECONDS', 'SLOWEST', 'RSS'],
    [
      [
        String(files),
        String(valid),
        String(problems),
        String(crashes.length),
        seconds.toFixed(1),
        `${slowest.ms.toFixed(0)} ms (seed ${slowest.seed})`,
        `${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB`,
      ],
    ],
  ),
)
for (const crash of crashes.slice(0, 20)) process.stdout.write(`${crash}\n`)
process.exitCode = crashes.length === 0 ? 0 : 1
