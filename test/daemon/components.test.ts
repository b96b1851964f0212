import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { transports } from 'winston'
import type { Config } from '../../agent/config/schema.ts'
import { createComponents } from '../../agent/daemon/components.ts'
import { configuration } from '../../agent/daemon/configuration.ts'
import { UserError } from '../../agent/lib/errors.ts'

function configOf(t: ExecutionContext, value: object = {}): Config {
  const state_directory = mkdtempSync(join(tmpdir(), 'tidewatch-test-components-'))
  t.teardown(() => rmSync(state_directory, { recursive: true, force: true }))
  return configuration.schema.parse({
    state_directory,
    docker: { host: 'unix:///nowhere/docker.sock' },
    log: { format: 'text' },
    ...value,
  })
}

const options = { pulseOf: () => () => undefined, now: Date.now }

test('a notice about the policy at start is logged after the start-up summary, without secrets', async (t) => {
  using components = createComponents(
    configOf(t, {
      policy: {
        allow: [{ reason: 'tests', when: 'rule == "oom-kill" && evidence.told_by == "counter"' }],
        redact: ['evidence\\.told_by'],
      },
    }),
    options,
  )
  const { log, startLog } = components
  const output = new PassThrough({ encoding: 'utf8' })
  log.clear().add(new transports.Stream({ stream: output }))
  startLog([{ level: 'info', message: 'summary' }])
  await setImmediate()
  const lines = String(output.read()).trim().split('\n')
  t.is(lines.length, 2)
  t.regex(lines[0] ?? '', /summary$/)
  t.regex(lines[1] ?? '', /policy\.allow\[0\] uses \*\*\*, which is deprecated/)
})

test('the state directory is locked until the components are disposed', (t) => {
  const config = configOf(t)
  {
    using first = createComponents(config, options)
    t.is(first.store.mode(), 'file')
    t.throws(() => createComponents(config, options), { instanceOf: UserError })
  }
  t.notThrows(() => createComponents(config, options)[Symbol.dispose]())
})
