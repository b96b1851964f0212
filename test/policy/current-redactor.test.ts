import test from 'ava'
import { currentConfig } from '../../agent/config/current.ts'
import { configuration } from '../../agent/daemon/configuration.ts'
import { currentRedactor } from '../../agent/policy/current-redactor.ts'

test('a reload changes what is redacted, in texts and in fields', (t) => {
  const current = currentConfig(configuration.defaults())
  const redact = currentRedactor(current)
  const redacted = () => [redact.text('order-42 --password=hunter2'), redact.field('password', 'hunter2')]
  t.deepEqual(redacted(), ['order-42 --password=***', '***'])
  current.replace(configuration.schema.parse({ policy: { redact: ['order-\\d+'], redact_secrets: false } }))
  t.deepEqual(redacted(), ['*** --password=hunter2', 'hunter2'])
})
