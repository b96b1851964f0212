import type { ExecutionContext } from 'ava'
import { TestScheduler, type RunHelpers } from 'rxjs/testing'

/** Runs marble tests in virtual time, without real delays. Compares with ava, so that differences are shown. */
export function marbles(t: ExecutionContext, test: (helpers: RunHelpers) => void): void {
  new TestScheduler((actual: unknown, expected: unknown) => {
    t.deepEqual(actual, expected)
  }).run(test)
}
