import { closeSync, openSync } from 'node:fs'
import test from 'ava'
import { onPriority } from '../../agent/linux/priority.ts'

// Memory pressure triggers, which it is used for, are tested in test/sources/resources/engine.test.ts: a test cannot
// create a file with an exceptional condition.

test('a regular file cannot be polled, and that is an error', (t) => {
  const fd = openSync(import.meta.filename, 'r')
  t.teardown(() => closeSync(fd))
  t.throws(() => onPriority(fd, () => undefined), { code: 'EPERM' })
})
