import { readFileSync } from 'node:fs'
import test from 'ava'
import { bootClock } from '../../agent/linux/boot-clock.ts'

test('time since boot matches the kernel’s, and adding the offset gives the date', (t) => {
  const clock = bootClock()
  const uptimeMs = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1_000
  t.true(Math.abs(clock.sinceBoot() - uptimeMs) < 1_000)
  t.true(Math.abs(clock.sinceBoot() + clock.epochOffset() - Date.now()) < 1_000)
})

test('repeated readings of the offset agree to a fraction of a millisecond', (t) => {
  const clock = bootClock()
  const offsets = Array.from({ length: 20 }, () => clock.epochOffset())
  t.true(Math.max(...offsets) - Math.min(...offsets) < 0.5)
})
