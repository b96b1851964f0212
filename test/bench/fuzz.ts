import fc from 'fast-check'
import { renderTable } from '../../agent/cli/table.ts'
import { properties } from '../fuzz/properties.ts'

// Tries every claim about what comes from outside far more often than the tests do: CASES=1000000 in all by default.
// The first that does not hold ends it, with the seed by which it is tried again (SEED=…).

const cases = Number(process.env['CASES'] ?? 1_000_000)
const seed = process.env['SEED'] === undefined ? Date.now() : Number(process.env['SEED'])
const total = properties.reduce((sum, { runs }) => sum + runs, 0)
const rows: string[][] = []
for (const { title, runs, property } of properties) {
  const numRuns = Math.ceil((cases * runs) / total)
  const startedAt = performance.now()
  const before = process.memoryUsage().heapUsed
  await fc.assert(property, { numRuns, seed })
  const seconds = (performance.now() - startedAt) / 1_000
  const grown = (process.memoryUsage().heapUsed - before) / 2 ** 20
  rows.push([title, String(numRuns), (numRuns / seconds).toFixed(0), grown.toFixed(0)])
}
process.stdout.write(`seed ${seed}\n\n${renderTable(['CLAIM', 'CASES', 'CASES / s', 'HEAP MiB'], rows)}\n`)
