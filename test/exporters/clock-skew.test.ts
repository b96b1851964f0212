import test from 'ava'
import { agreementMessage, nextCorrection, receiverClock, skewMessage } from '../../exporters/clock-skew.ts'
import { clockSkew } from '../../exporters/date-header.ts'

const noon = Date.UTC(2026, 10, 23, 12, 0, 0)
const date = 'Mon, 23 Nov 2026 12:00:00 GMT'

const dates: [title: string, args: Parameters<typeof clockSkew>, skewMs: number | null][] = [
  ['equal clocks', [date, noon + 500, 0], 0],
  ['a receiver that is 6 minutes ahead', [date, noon - 359_500, 0], 360_000],
  ['a receiver that is 6 minutes behind', [date, noon + 360_500, 0], -360_000],
  ['a slow exchange, by its middle', [date, noon + 4_500, 8_000], 0],
  ['too slow an exchange', [date, noon + 500, 10_001], null],
  ['no header', [undefined, noon, 0], null],
  ['an empty header', ['', noon, 0], null],
  ['a number', ['1', noon, 0], null],
  ['another format', ['2026-11-23T12:00:00Z', noon, 0], null],
  ['another time zone', ['Mon, 23 Nov 2026 12:00:00 +0100', noon, 0], null],
  ['an impossible time', ['Mon, 23 Nov 2026 25:00:00 GMT', noon, 0], null],
  ['an impossible month', ['Mon, 23 Xyz 2026 12:00:00 GMT', noon, 0], null],
]
for (const [title, args, skewMs] of dates) {
  test(`the skew by a Date header is ${skewMs === null ? 'unknown' : `${skewMs} ms`}: ${title}`, (t) => {
    t.is(clockSkew(...args), skewMs)
  })
}

const corrections: [beforeMs: number, skewMs: number, afterMs: number][] = [
  [0, 29_999, 0],
  [0, -29_999, 0],
  [0, 30_000, 30_000],
  [0, -30_000, -30_000],
  [360_000, 364_999, 360_000],
  [360_000, 365_000, 365_000],
  [30_000, 16_000, 16_000],
  [18_000, 15_000, 18_000],
  [18_000, 14_999, 0],
  [-18_000, -14_999, 0],
  [360_000, 0, 0],
  [360_000, -360_000, -360_000],
]
for (const [beforeMs, skewMs, afterMs] of corrections) {
  test(`a correction of ${beforeMs} ms becomes ${afterMs} ms at a skew of ${skewMs} ms`, (t) => {
    t.is(nextCorrection(beforeMs, skewMs), afterMs)
  })
}

test('without a measurement, a correction stays', (t) => {
  const clock = receiverClock()
  t.false(clock.measured(null))
  t.is(clock.correctionMs(), 0)
  t.true(clock.measured(360_000))
  t.false(clock.measured(null))
  t.false(clock.measured(360_900))
  t.is(clock.correctionMs(), 360_000)
  t.true(clock.measured(100))
  t.is(clock.correctionMs(), 0)
})

test('the log says which clock is behind, what is done and what to do', (t) => {
  t.is(
    skewMessage('alertmanager/a', 360_400, 'alerts'),
    'alertmanager/a: this host’s clock is 360 s behind the receiver’s, so the times of alerts are corrected; check the time synchronisation (NTP) of both hosts',
  )
  t.is(
    skewMessage('webhook/a', -45_000, 'nothing'),
    'webhook/a: this host’s clock is 45 s ahead of the receiver’s; check the time synchronisation (NTP) of both hosts',
  )
  t.is(agreementMessage('webhook/a'), 'webhook/a: this host’s clock agrees with the receiver’s again')
})
