import anyTest, { type TestFn } from 'ava'
import { busyboxImage } from '../support/busybox-image.ts'
import { dashboardsAsJson, expressionsOf, filledIn } from '../support/dashboards.ts'
import { docker, run } from '../support/processes.ts'
import { hostOf } from '../support/prometheus.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { until } from '../support/until.ts'

// The services of compose.yaml, with Debian's Prometheus and Alertmanager, monitor a container with many problems and
// one without limits.

const test = anyTest as TestFn<Stack & { container: string }>
const container = `tidewatch-test-dashboards-${process.pid}`
const unlimited = `${container}-unlimited`

// Cleanup steps, run in reverse order, even if a later setup step fails.
const undo: (() => Promise<unknown>)[] = []

test.before(async (t) => {
  const image = await busyboxImage()
  const stack = await startStack(undo)
  undo.push(() => docker('rm', '-f', container, unlimited))
  const limits = ['--memory', '64m', '--cpus', '0.1', '--pids-limit', '20']
  await docker('run', '-d', '--network=none', '--name', container, ...limits, image, 'sleep', '600')
  await docker('run', '-d', '--network=none', '--name', unlimited, image, 'sleep', '600')
  await run('script', '-qec', `docker exec -it ${container} sh -c 'echo hello'`, '/dev/null')
  // It only writes, but once the data is on the disk, reads and writes both have series.
  await docker('exec', container, 'sh', '-c', 'dd if=/dev/zero of=/file bs=1M count=4 conv=fsync 2>/dev/null')
  // Is throttled by its CPU quota for the rest of the test, and hits its process limit.
  await docker('exec', '-d', container, 'sh', '-c', 'while :; do :; done')
  await docker('exec', container, 'sh', '-c', 'for i in $(seq 30); do sleep 5 & done').catch(() => undefined)
  t.context = { ...stack, container }
})

test.after.always(async () => {
  for (const step of undo.toReversed()) await step()
})

// Whether the kernel provides these for containers depends on its version and the cgroup version.
const mayBeMissing = /tidewatch_container_(?:pressure|disk)_\w+/

test('every query of every dashboard returns data from a real Prometheus', async (t) => {
  const { prometheus, daemon } = t.context
  const variables = {
    job: 'tidewatch',
    instance: hostOf(daemon.url),
    container,
    __rate_interval: '20s',
    __range: '10m',
  }
  const shown = await until(async () => {
    const text = await daemon.metrics()
    return text.includes(`tidewatch_container_pids{container="${container}"`) && text
  })
  const queries = dashboardsAsJson()
    .flatMap(expressionsOf)
    .filter(({ expr }) => {
      const metric = mayBeMissing.exec(expr)?.[0]
      return metric === undefined || shown.includes(`${metric}{container="${container}"`)
    })
  t.true(queries.length > 60)
  let empty = queries
  await until(async () => {
    const still: typeof empty = []
    for (const query of empty) {
      if ((await prometheus.query(filledIn(query.expr, variables))).length === 0) still.push(query)
    }
    empty = still
    return empty.length === 0
  }, 90_000).catch((error: unknown) => t.log(error))
  t.deepEqual(empty, [])
})

test('Prometheus evaluates every shipped rule without errors', async (t) => {
  const { prometheus } = t.context
  type Rules = { data: { groups: { rules: { name: string; health: string; lastError?: string }[] }[] } }
  const rules = await until(async () => {
    const { data } = (await (await fetch(`${prometheus.url}/api/v1/rules`)).json()) as Rules
    const found = data.groups.flatMap((group) => group.rules)
    return found.length > 0 && found.every(({ health }) => health !== 'unknown') && found
  }, 60_000)
  t.deepEqual(
    rules.filter(({ health }) => health !== 'ok'),
    [],
  )
})

test('the watchdog alert comes from Prometheus, and a finding only from the daemon', async (t) => {
  const { alertmanager, prometheus, daemon } = t.context
  const named = async (name: string) =>
    (await alertmanager.alerts()).filter(({ labels }) => labels['alertname'] === name)
  const [watchdog] = await until(async () => {
    const alerts = await named('TidewatchWatchdog')
    return alerts.length > 0 && alerts
  }, 60_000)
  t.regex(watchdog?.annotations['description'] ?? '', /dead man/)
  const [pushed, ...others] = await until(async () => {
    const alerts = (await named('TidewatchInteractiveShell')).filter(
      ({ labels }) => labels['container'] === container,
    )
    return alerts.length > 0 && alerts
  }, 60_000)
  t.deepEqual(others, [])
  t.regex(pushed?.labels['fingerprint'] ?? '', /^[0-9a-f]{12}$/)
  t.is(pushed?.annotations['technique'], 'T1609')
  const runbook = pushed?.annotations['runbook_url'] ?? ''
  t.is(runbook, `${daemon.url}/runbooks/TidewatchInteractiveShell`)
  t.regex(await (await fetch(runbook)).text(), /<h1>TidewatchInteractiveShell<\/h1>/)
  t.deepEqual(
    await prometheus.query(`ALERTS{alertname="TidewatchInteractiveShell",container="${container}"}`),
    [],
  )
})

test('the status page shows the number of findings, and each finding with its container and command', async (t) => {
  const { daemon } = t.context
  const page = await until(async () => {
    const text = await (await fetch(`${daemon.url}/`)).text()
    return text.includes('interactive-shell') && text.replace(/\s+/g, ' ')
  })
  t.regex(page, /<b class="warning">\d+<\/b ?><span>warnings since start/)
  t.regex(page, new RegExp(`<td class="name">${container}</td>`))
  t.regex(page, /echo hello/)
  t.regex(page, /<td class="number" title="events">[1-9][\d,]*</)
})
