import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tryLock } from '../../agent/linux/libc.ts'
import { until } from './until.ts'

export const corePattern = '/proc/sys/kernel/core_pattern'

// Test files run in parallel processes and share one core_pattern.
const lock = join(tmpdir(), 'tidewatch-test-core-pattern.lock')

/**
 * Runs a test that sets kernel.core_pattern, exclusively, and always restores the former value.
 */
export async function withCorePattern<T>(work: (before: string) => Promise<T> | T): Promise<T> {
  using cleanup = new DisposableStack()
  const fd = cleanup.adopt(openSync(lock, 'a'), closeSync)
  await until(() => tryLock(fd), 100_000)
  const before = readFileSync(corePattern, 'utf8')
  cleanup.defer(() => {
    if (readFileSync(corePattern, 'utf8') !== before) writeFileSync(corePattern, before)
  })
  return await work(before.trimEnd())
}
