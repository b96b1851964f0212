import { configuration } from '../../../agent/daemon/configuration.ts'
import { createHmac } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import type { Finding } from '../../../agent/model/finding.ts'
import { receiversOf } from '../../../exporters/receivers.ts'
import { toFalco } from '../../../exporters/webhook/falco.ts'
import { startHttpReceiver } from '../../support/receiver.ts'
import { sampleFinding } from '../../support/samples.ts'
import { describeRules } from '../../support/describe.ts'

const send = async (webhook: object, finding: Finding, now = 1_000_000) => {
  const [receiver] = receiversOf(configuration.schema.parse({ webhooks: [webhook] }))
  const { signal } = new AbortController()
  return await receiver?.send([{ finding, deliveredAt: null }], { describe: describeRules, now, signal })
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
