import type { ExecutionContext } from 'ava'
import { TestScheduler, type RunHelpers } from 'rxjs/testing'

/** Runs marbles in virtual time, where RxJS timers cost nothing, and compares with ava so that a difference is shown. */
export function marbles(t: ExecutionContext, test: (helpers: RunHelpers) => void): void {
  new TestScheduler((actual: unknown, expected: unknown) => {
    t.deepEqual(actual, expected)
  }).run(test)
}
