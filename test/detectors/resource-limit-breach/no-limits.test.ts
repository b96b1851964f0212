import test from 'ava'
import { missingLimits, noLimits } from '../../../detectors/resource-limit-breach/no-limits.ts'
import { type Given, sample } from '../../sources/resources/samples.ts'

const table: [given: Given, missing: string[], words: string][] = [
  [{}, [], 'memory, CPU and process limits are set'],
  [{ cpu: { quotaCores: null } }, ['cpu'], 'web-1: no CPU limit'],
  [
    { memory: { limitBytes: null }, pids: { limit: null } },
    ['memory', 'pids'],
    'web-1: no memory or process limit',
  ],
  [
    { memory: { limitBytes: null }, cpu: { quotaCores: null }, pids: { limit: null } },
    ['memory', 'cpu', 'pids'],
    'web-1: no memory, CPU or process limit',
  ],
]

for (const [given, missing, words] of table) {
  test(words, (t) => {
    const seen = sample(0, given)
    t.deepEqual(missingLimits(seen), missing)
    t.is(noLimits.judge({ firing: false }, seen).firing, missing.length > 0)
    const firing = noLimits.describe(seen, null, { firing: true })
    const summary = missing.length > 0 ? firing.summary : noLimits.resolution(seen, { firing: false })
    t.deepEqual({ ...firing, summary }, { summary: words, evidence: { missing } })
  })
}
