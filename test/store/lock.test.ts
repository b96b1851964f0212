import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { lockIfWritable, lockStateDirectory } from '../../agent/store/lock.ts'

test('a state directory is private, and locked by one daemon at a time', (t) => {
  const parent = mkdtempSync(join(tmpdir(), 'tidewatch-test-lock-'))
  t.teardown(() => rmSync(parent, { recursive: true }))
  const directory = join(parent, 'state')
  const lock = lockStateDirectory(directory)
  t.is(statSync(directory).mode & 0o777, 0o700)
  t.throws(() => lockIfWritable(directory), { message: /another tidewatch uses the state directory/ })
  lock.release()
  t.notThrows(() => lockStateDirectory(directory).release())
})

test('a directory that is not writable is not locked, which is not an error', (t) => {
  t.is(lockIfWritable('/proc/nowhere/state'), undefined)
})
