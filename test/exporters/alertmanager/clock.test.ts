import test from 'ava'
import { Subject } from 'rxjs'
import type { Finding } from '../../../agent/model/finding.ts'
import { openStore } from '../../../agent/store/store.ts'
import { alertmanagerReceiver } from '../../../exporters/alertmanager/receiver.ts'
import { deliver } from '../../../exporters/deliver.ts'
import { startAlertmanager } from '../../support/alertmanager.ts'
import { describeRules } from '../../support/describe.ts'
import { startHttpReceiver } from '../../support/receiver.ts'
import { sampleFinding } from '../../support/samples.ts'
import { until } from '../../support/until.ts'

type Notification = { alerts: { status: string; startsAt: string; endsAt: string }[] }

const minutes = (count: number) => count * 60_000

// A real Alertmanager, and the real delivery with a clock that is wrong.
for (const [title, aheadMs] of [
  ['behind', -minutes(6)],
  ['ahead', minutes(6)],
  ['right', 0],
] as const) {
  test(`Alertmanager notifies a condition and its end if the host’s clock is 6 minutes wrong: ${title}`, async (t) => {
    const { notified, save, now, messages, skews } = await startSkewed(t, aheadMs)
    const firstSeen = now()
    const condition = sampleFinding({ kind: 'condition', time: iso(firstSeen), first_seen: iso(firstSeen) })
    save({ ...condition, last_seen: iso(firstSeen) })
    await until(() => notified().length > 0, 30_000)
    save({
      ...condition,
      last_seen: iso(now()),
      state: 'resolved',
      resolved_at: iso(now()),
      resolution: 'over',
    })
    await until(() => notified().length > 1, 30_000)
    const all = notified()
    t.deepEqual(
      all.map(({ status }) => status),
      ['firing', 'resolved'],
    )
    const startedAt = Date.parse(all[0]?.startsAt ?? '')
    t.true(Math.abs(startedAt - (firstSeen - aheadMs)) < 3_000, 'the start is a time of the receiver’s clock')
    t.true(Math.abs(Date.parse(all[1]?.endsAt ?? '') - Date.now()) < 30_000)
    t.is(messages.length, aheadMs === 0 ? 0 : 1)
    t.true(skews.length > 1 && skews.every((skewMs) => Math.abs(skewMs + aheadMs) < 3_000), skews.join())
  })
}

async function startSkewed(t: Parameters<typeof startHttpReceiver>[0], aheadMs: number) {
  const hook = await startHttpReceiver(t)
  const alertmanager = await startAlertmanager({ webhook: `${hook.url}/` })
  t.teardown(alertmanager.remove)
  const now = () => Date.now() + aheadMs
  const store = openStore({
    directory: '/proc/nowhere',
    onModeChange: () => undefined,
    onMovedAside: () => undefined,
  })
  const receiver = alertmanagerReceiver({ url: alertmanager.url, min_severity: 'info', timeout: 5_000 })
  const wake$ = new Subject<void>()
  const messages: string[] = []
  const skews: number[] = []
  const subscription = deliver({
    receiver,
    describe: describeRules,
    store,
    wake$,
    now,
    onOutcome: () => undefined,
    onHealth: () => undefined,
    onClockSkew: (skewMs) => skews.push(skewMs),
    onClockAgreement: (_agrees, message) => messages.push(message),
  }).subscribe()
  t.teardown(() => subscription.unsubscribe())
  return {
    now,
    messages,
    skews,
    notified: () => hook.requests.flatMap(({ body }) => (JSON.parse(body) as Notification).alerts),
    save: (finding: Finding) => {
      store.save(finding, null, [receiver], now())
      wake$.next()
    },
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
