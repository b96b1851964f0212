import test from 'ava'
import { startDaemonFor } from '../support/daemon.ts'
import { delayedEngine } from '../support/delayed-engine.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import { docker, removeContainers } from '../support/docker.ts'
import { run, start } from '../support/processes.ts'
import { rightsImage } from '../support/rights-image.ts'
import { until } from '../support/until.ts'

// What findings say about containers that ended, and about acts that began before the daemon knew of them.

const prefix = `tidewatch-test-names-${process.pid}`
const image = `${prefix}:1`
let removeImage: () => Promise<unknown>

test.before(async () => {
  removeImage = (await rightsImage(image)).remove
})

test.after.always(async () => {
  await removeContainers(prefix)
  await removeImage()
})

test('a container that was removed before the engine was asked about it has its name and image', async (t) => {
  // The inspect arrives after the end of the container, and the events even later.
  const engine = await delayedEngine({ inspectMs: 500, eventsMs: 4_000 })
  t.teardown(engine.stop)
  const daemon = await startDaemonFor(t, { args: [`--docker.host=${engine.host}`] })
  const name = `${prefix}-short`
  const options = ['--rm', '--network=none', '--user=1000', '--name', name]
  const ran = await docker('run', ...options, image, '/bin/setuid', 'drop-root', '/bin/true')
  t.is(ran.stderr, '')
  const finding = await until(
    () => daemon.findings({ detector: 'unexpected-root-process', container: name })[0],
  )
  t.like(finding, { rule: 'setuid-program', container: { name, image } })
  t.true(finding.summary.includes(` in ${name} `), finding.summary)
})

test('what began before the daemon started is dated when it began', async (t) => {
  const name = `${prefix}-long`
  await run(
    'docker',
    'run',
    '--detach',
    '--network=none',
    '--user=1000',
    '--name',
    name,
    image,
    'sleep',
    '600',
  )
  const begin = Date.now()
  await run('docker', 'exec', '--detach', '--user=0', name, 'sleep', '599')
  const pid = (await run('docker', 'inspect', '--format', '{{.State.Pid}}', name)).trim()
  const intruder = start('nsenter', ['-t', pid, '-m', 'sleep', '598'])
  t.teardown(() => intruder.stop())
  await sleep(3_000)
  const startedAt = Date.now()
  const daemon = await startDaemonFor(t)
  for (const rule of ['exec-as-root', 'untracked-exec']) {
    const finding = await until(() => daemon.findings({ container: name }).find((one) => one.rule === rule))
    const [time, lastSeen, detectedAt] = [finding.time, finding.last_seen, finding.detected_at].map(
      Date.parse,
    )
    t.true(Number(time) >= begin - 50 && Number(time) < startedAt - 2_000, `${rule} began at ${finding.time}`)
    t.is(finding.first_seen, finding.time)
    t.true(Number(lastSeen) >= startedAt && Number(detectedAt) >= startedAt, rule)
  }
})
