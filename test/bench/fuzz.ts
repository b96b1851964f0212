import fc from 'fast-check'
import { renderTable } from '../../agent/cli/table.ts'
import { properties } from '../fuzz/properties.ts'

// Checks all properties of the handling of untrusted input with far more cases than the tests: CASES=1000000 in total
// by default. Stops at the first failure and prints the seed to reproduce it (SEED=…).

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
process.stdout.write(`seed ${seed}\n\n${renderTable(['PROPERTY', 'CASES', 'CASES / s', 'HEAP MiB'], rows)}\n`)
