import { closeSync, openSync } from 'node:fs'
import test from 'ava'
import { onPriority } from '../../agent/linux/priority.ts'

// What it is for, a trigger of memory pressure, is tested in test/sources/resources/engine.test.ts: no file that a test can
// make has something urgent to say.

test('an ordinary file cannot be polled, and that is an error', (t) => {
  const fd = openSync(import.meta.filename, 'r')
  t.teardown(() => closeSync(fd))
  t.throws(() => onPriority(fd, () => undefined), { code: 'EPERM' })
})
