import test from 'ava'
import { reportReader } from './report.ts'

// The output of ava 8 for two files with failures of each kind.
const printed = `
  ✔ e2e › detections › a claim that holds (1.2s)
  ✔ policy › allow › a quick claim
  ✘ [fail]: e2e › detections › an assertion is wrong
  ✘ [fail]: e2e › detections › a program failed (30s) Rejected promise returned by test
  ✘ test/e2e/execs.test.ts exited due to a signal
  ─

  e2e › detections › an assertion is wrong

  Difference (- actual, + expected):

  - 2
  + 1

  e2e › detections › a program failed (30s)

  Rejected promise returned by test. Reason:

  Error {
    message: 'still not so after 30000 ms',
  }
  ─
`

test('a report has the passed tests, the failed tests with their causes, and the broken files', (t) => {
  const reader = reportReader()
  for (const line of printed.split('\n')) reader.read(line)
  t.deepEqual(reader.end(1), {
    status: 1,
    passed: new Set(['e2e › detections › a claim that holds', 'policy › allow › a quick claim']),
    failed: new Map([
      ['e2e › detections › an assertion is wrong', 'an assertion failed'],
      ['e2e › detections › a program failed (30s)', 'still not so after 30000 ms'],
    ]),
    brokenFiles: new Map([['test/e2e/execs.test.ts', '✘ test/e2e/execs.test.ts exited due to a signal']]),
    isCutShort: false,
  })
})

test('a run that ava aborted is recognised', (t) => {
  const reader = reportReader()
  reader.read('✘ Timed out while running tests')
  t.true(reader.end(1).isCutShort)
})
