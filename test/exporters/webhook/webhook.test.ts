import { configuration } from '../../../agent/daemon/configuration.ts'
import { createHmac } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import type { Finding } from '../../../agent/model/finding.ts'
import { accepts } from '../../../exporters/receiver.ts'
import { receiversOf } from '../../../exporters/receivers.ts'
import { toFalco } from '../../../exporters/webhook/falco.ts'
import { makeCertificates } from '../../support/certificates.ts'
import { startHttpReceiver } from '../../support/receiver.ts'
import { sampleFinding } from '../../support/samples.ts'
import { describeRules } from '../../support/describe.ts'

const send = async (webhook: object, finding: Finding, now = 1_000_000, correctionMs = 0) => {
  const [receiver] = receiversOf(configuration.schema.parse({ webhooks: [webhook] }))
  const { signal } = new AbortController()
  const options = { describe: describeRules, now: () => now, correctionMs, signal }
  return (await receiver?.send([{ finding, deliveredAt: null }], options))?.outcome === 'accepted'
}

test('a webhook receives the finding as it is stored', async (t) => {
  const { url, requests } = await startHttpReceiver(t)
  const finding = sampleFinding({ summary: 'a "quoted"\nsummary' })
  t.true(await send({ url: `${url}/hook?a=b` }, finding))
  t.is(requests[0]?.path, '/hook?a=b')
  t.is(requests[0]?.headers['x-tidewatch-finding-id'], finding.id)
  t.deepEqual(JSON.parse(requests[0]?.body ?? ''), JSON.parse(JSON.stringify(finding)))
})

test('the signature covers the body and the time', async (t) => {
  const { url, requests } = await startHttpReceiver(t)
  const directory = mkdtempSync(join(tmpdir(), 'tidewatch-test-webhook-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const secret_file = join(directory, 'secret')
  writeFileSync(secret_file, 'swordfish\n')
  await send({ url, secret_file }, sampleFinding(), 1_700_000_000_123)
  const body = requests[0]?.body ?? ''
  const headers = requests[0]?.headers
  t.is(headers?.['x-tidewatch-timestamp'], '1700000000')
  const digest = createHmac('sha256', 'swordfish').update(`1700000000.${body}`).digest('hex')
  t.is(headers?.['x-tidewatch-signature'], `sha256=${digest}`)
})

for (const [title, server, tls_config, corrected] of [
  ['over verified TLS, the timestamp of a signature follows', 'tls', {}, true],
  [
    'over unverified TLS, the timestamp of a signature does not follow',
    'tls',
    { insecure_skip_verify: true },
    false,
  ],
  ['without TLS, the timestamp of a signature does not follow', 'plain', undefined, false],
] as const) {
  test(`${title} the receiver’s clock`, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'tidewatch-test-webhook-'))
    t.teardown(() => rmSync(directory, { recursive: true, force: true }))
    const secret_file = join(directory, 'secret')
    writeFileSync(secret_file, 'swordfish')
    const { ca, serverCert, serverKey } = makeCertificates(directory)
    const files = { cert: readFileSync(serverCert), key: readFileSync(serverKey) }
    const { url, requests } = await startHttpReceiver(t, server === 'tls' ? files : undefined)
    const tls = tls_config === undefined ? {} : { tls_config: { ...tls_config, ca_file: ca } }
    t.true(await send({ url, secret_file, ...tls }, sampleFinding(), 1_700_000_000_000, 360_000))
    t.is(requests[0]?.headers['x-tidewatch-timestamp'], corrected ? '1700000360' : '1700000000')
  })
}

for (const [title, change, min_severity, send_resolved, expected] of [
  ['a new finding', 'new', 'info', false, true],
  ['a finding below its severity', 'new', 'critical', true, false],
  ['a repeat', 'repeated', 'info', false, true],
  ['a condition that fires again', 'reopened', 'info', false, true],
  ['a resolution', 'resolved', 'info', true, true],
  ['a resolution that it does not want', 'resolved', 'info', false, false],
  ['an allowed finding', 'suppressed', 'info', true, true],
  ['an allowed finding, without ends', 'suppressed', 'info', false, false],
  ['a finding that is no longer allowed', 'released', 'info', false, true],
] as const) {
  test(`a webhook is ${expected ? '' : 'not '}notified of ${title}`, (t) => {
    const webhooks = [{ url: 'http://a.example', min_severity, send_resolved }]
    const [receiver] = receiversOf(configuration.schema.parse({ webhooks }))
    t.is(receiver && accepts(receiver, { change, finding: sampleFinding() }), expected)
  })
}

test('the settings that decide what is sent do not replace the connection', (t) => {
  const keyOf = (rest: object) =>
    receiversOf(configuration.schema.parse({ webhooks: [{ url: 'http://a.example', ...rest }] }))[0]
      ?.connectionKey
  t.is(keyOf({ send_resolved: false, min_severity: 'info' }), keyOf({}))
  t.not(keyOf({ timeout: '1s' }), keyOf({}))
})

test('the names of receivers contain no secrets and are unique', (t) => {
  const config = configuration.schema.parse({
    alertmanagers: [{ url: 'http://am:9093/alerts/' }],
    webhooks: [{ url: 'https://hooks.example/T0/s3cret' }, { url: 'https://hooks.example/T0/0ther?key=1' }],
  })
  t.deepEqual(
    receiversOf(config).map(({ name }) => name),
    ['alertmanager/am:9093/alerts', 'webhook/hooks.example/…', 'webhook/hooks.example/…#2'],
  )
})

test('evidence uses Falco’s field names where they exist, and its own otherwise', (t) => {
  const finding = sampleFinding({
    severity: 'warning',
    summary: 'alice opened an interactive shell in web-1 as root (`sh`)',
    evidence: { argv: ['/bin/sh', '-c', 'a b'], pid: 42, user: 'root', tty: true, caller: { pid: 7 } },
  })
  const alert = toFalco(finding, describeRules)
  t.is(alert.priority, 'Warning')
  t.is(alert.rule, finding.rule)
  t.is(alert.time, finding.time)
  t.is(alert.hostname, finding.host)
  t.like(alert.output_fields, {
    'proc.cmdline': "/bin/sh -c 'a b'",
    'proc.name': 'sh',
    'proc.pid': 42,
    'user.name': 'root',
    'container.name': finding.container?.name,
    'tidewatch.tty': true,
    'tidewatch.caller': '{"pid":7}',
  })
})

for (const [title, finding, priority, output] of [
  ['a finding', { severity: 'critical' }, 'Critical', '2026-11-23T17:42:10.123Z: Critical web-1 is full'],
  [
    'a repeated finding',
    { severity: 'warning', count: 12 },
    'Warning',
    '2026-11-23T17:42:10.123Z: Warning web-1 is full (12 times)',
  ],
  [
    'a resolution',
    {
      severity: 'critical',
      state: 'resolved',
      count: 2,
      resolved_at: '2026-11-23T18:00:00.000Z',
      resolution: 'web-1 was\nremoved',
    },
    'Informational',
    '2026-11-23T18:00:00.000Z: Informational resolved: web-1 is full (web-1 was\\nremoved)',
  ],
  [
    'a resolution of an early version',
    { severity: 'critical', state: 'resolved', last_seen: '2026-11-23T18:00:00.000Z' },
    'Informational',
    '2026-11-23T18:00:00.000Z: Informational resolved: web-1 is full',
  ],
  [
    'a finding that is now allowed',
    { severity: 'critical', state: 'suppressed', suppressed: { by: 'allow[0]', reason: 'backup' } },
    'Informational',
    '2026-11-23T17:42:10.123Z: Informational allowed: web-1 is full (backup)',
  ],
] as const) {
  test(`${title} has the Falco priority ${priority}`, (t) => {
    const alert = toFalco(sampleFinding({ summary: 'web-1 is full', ...finding }), describeRules)
    t.like(alert, { priority, output, time: output.slice(0, 24) })
    t.is(alert.output_fields['tidewatch.severity'], finding.severity)
  })
}

for (const [image, repository, tag] of [
  ['nginx', 'nginx', undefined],
  ['nginx:1.27', 'nginx', '1.27'],
  ['registry:5000/team/app', 'registry:5000/team/app', undefined],
  ['registry:5000/team/app:v1', 'registry:5000/team/app', 'v1'],
] as const) {
  test(`the image ${image} is split into repository and tag for Falco’s fields`, (t) => {
    const container = { ...(sampleFinding().container as NonNullable<Finding['container']>), image }
    const { output_fields } = toFalco(sampleFinding({ container }), describeRules)
    t.is(output_fields['container.image.repository'], repository)
    t.is(output_fields['container.image.tag'], tag)
  })
}

test('container-controlled text is bounded and cannot break Falco’s output line', (t) => {
  const alert = toFalco(
    sampleFinding({ container: null, summary: 'a\nb\u001b[31m', evidence: { argv: ['x'.repeat(10_000)] } }),
    describeRules,
  )
  t.regex(alert.output, /a\\nb\\x1b\[31m/)
  t.true(String(alert.output_fields['proc.cmdline']).length <= 1_000)
  t.false('container.name' in alert.output_fields)
})
