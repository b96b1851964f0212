import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import test, { type ExecutionContext } from 'ava'
import type { Finding } from '../../agent/model/finding.ts'
import { alertOf, type Alertmanager, startAlertmanager } from '../support/alertmanager.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { type Daemon, logIfFailed, removeState, startDaemon, startDaemonFor } from '../support/daemon.ts'
import { removeContainers } from '../support/docker.ts'
import { docker, run, start } from '../support/processes.ts'
import { startHttpReceiver } from '../support/receiver.ts'
import { until } from '../support/until.ts'

// One act is one finding and two acts are two findings, wherever people look: real clients, engine and Alertmanagers.

const prefix = `tidewatch-test-acts-${randomBytes(4).toString('hex')}`
const undo = new AsyncDisposableStack()
let daemon: Daemon
let first: Alertmanager
let second: Alertmanager
let webhook: Awaited<ReturnType<typeof startHttpReceiver>>
let hookAddedLater: typeof webhook

const configWith = (alertmanagers: readonly Alertmanager[], webhooks: readonly (typeof webhook)[]) => ({
  host_name: 'node-7',
  policy: { throttle: { per_container: 100_000, per_rule: 100_000 } },
  alertmanagers: alertmanagers.map(({ url }) => ({ url, min_severity: 'info' })),
  webhooks: webhooks.map(({ url }) => ({ url, min_severity: 'info' })),
})

test.before(async () => {
  first = await startAlertmanager()
  undo.defer(first.remove)
  second = await startAlertmanager()
  undo.defer(second.remove)
  const teardown = (work: () => unknown) => undo.defer(async () => void (await work()))
  webhook = await startHttpReceiver({ teardown })
  hookAddedLater = await startHttpReceiver({ teardown })
  undo.defer(() => removeContainers(prefix))
  daemon = await startDaemon({ config: configWith([first], [webhook]) })
  undo.defer(async () => {
    await daemon.stop()
    await removeState(daemon)
  })
})
test.after.always(() => undo.disposeAsync())
test.afterEach.always((t) => logIfFailed(t, daemon))

async function startContainer(t: ExecutionContext, ...options: string[]): Promise<string> {
  const name = `${prefix}-${randomBytes(3).toString('hex')}`
  await docker(
    'run',
    '--detach',
    '--network=none',
    '--name',
    name,
    ...options,
    await busyboxImage(),
    'sleep',
    '600',
  )
  t.teardown(() => removeContainers(name))
  return name
}

/** Runs `docker exec` in a login session of a user of this host. */
async function execBy(loginUid: number, ...args: string[]): Promise<void> {
  const login = `echo ${loginUid} > /proc/self/loginuid && exec docker exec "$@"`
  await run('sh', '-c', login, 'sh', ...args)
}

const findingsOf = (name: string, rule: string) =>
  daemon.findings({ container: name }).filter((finding) => finding.rule === rule)

const received = (by: typeof webhook, name: string) =>
  by.requests
    .map(({ body }) => JSON.parse(body) as Finding)
    .filter(({ container }) => container?.name === name)

test.serial(
  'two people’s commands are two findings wherever people look, and only the same again is a repeat',
  async (t) => {
    const name = await startContainer(t)
    const follow = start(process.execPath, [
      'agent/main.ts',
      'findings',
      `--state.directory=${daemon.stateDirectory}`,
      '--follow',
    ])
    t.teardown(() => follow.stop())
    // The users daemon and bin of this host.
    await execBy(1, name, 'sh', '-c', 'echo deploy ok')
    await execBy(2, name, 'sh', '-c', 'ls /root')
    await execBy(1, name, 'sh', '-c', 'echo deploy ok')
    const found = await until(() => {
      const all = findingsOf(name, 'exec-command')
      return all.length === 2 && all[0]?.count === 2 && all
    })
    t.deepEqual(
      found.map(({ summary, count }) => [summary.replace(/ \(.*/, ''), count]),
      [
        [`daemon ran \`sh -c 'echo deploy ok'\` in ${name}`, 2],
        [`bin ran \`sh -c 'ls /root'\` in ${name}`, 1],
      ],
    )
    const page = await (await fetch(daemon.url)).text()
    for (const finding of found) {
      const quoted = finding.summary.slice(0, finding.summary.indexOf(' in '))
      t.true(daemon.output().includes(`"id":"${finding.id}"`), 'log')
      t.true(page.includes(finding.id), 'page')
      t.is((await alertOf(first, finding)).annotations['summary']?.includes(quoted), true, 'Alertmanager')
      await until(() => received(webhook, name).some(({ id }) => id === finding.id))
      await until(() => follow.output().includes(quoted))
    }
    const series = `tidewatch_container_findings_total{container="${name}",image="${await busyboxImage()}",detector="exec-into-container",rule="exec-command",severity="info"}`
    t.is(await daemon.metric(series), 2)
    await until(() => follow.output().includes('(2 times)'))
  },
)

test.serial('an attempt that failed is corrected where it was reported as done', async (t) => {
  const name = await startContainer(t)
  await docker('exec', '--privileged', name, '/no/such/program').catch(() => undefined)
  const failed = /^root tried `docker exec --privileged .* \/no\/such\/program`; it failed \(exit 12[67]\)$/
  const finding = await until(() =>
    findingsOf(name, 'privileged-exec').find(({ summary }) => failed.test(summary)),
  )
  const last = await until(() => received(webhook, name).findLast(({ summary }) => failed.test(summary)))
  t.is(last.id, finding.id)
  await until(async () => failed.test((await alertOf(first, finding)).annotations['summary'] ?? ''))
  await until(() => daemon.output().includes(`"message":"corrected privileged-exec: ${finding.summary}"`))
})

test.serial('a renamed container takes its condition along, and its end ends it everywhere', async (t) => {
  const name = await startContainer(t)
  const noLimits = await until(() => findingsOf(name, 'no-limits')[0])
  await alertOf(first, noLimits)
  const newName = `${name}-renamed`
  t.teardown(() => removeContainers(newName))
  await docker('rename', name, newName)
  const moved = await until(() => findingsOf(newName, 'no-limits')[0])
  t.like(moved, { state: 'firing', first_seen: noLimits.first_seen, fingerprint: noLimits.fingerprint })
  t.like(findingsOf(name, 'no-limits'), [
    { state: 'resolved', summary: noLimits.summary, resolution: `the container was renamed to ${newName}` },
  ])
  await alertOf(first, moved)
  const firing = async () => (await first.alerts()).map(({ labels }) => labels['container'])
  await until(async () => !(await firing()).includes(name))
  await docker('rm', '--force', newName)
  await until(() => findingsOf(newName, 'no-limits')[0]?.state === 'resolved')
  await until(async () => !(await firing()).includes(newName))
  const metrics = await daemon.metrics()
  t.notRegex(metrics, new RegExp(`tidewatch_findings_active{container="${name}[^}]*} [1-9]`))
  const last = await until(() => received(webhook, newName).find(({ state }) => state === 'resolved'))
  t.is(last.summary, moved.summary)
  t.truthy(last.resolution)
  t.truthy(last.resolved_at)
})

test.serial('receivers that are added by SIGHUP get what is firing, and only once', async (t) => {
  const names = [await startContainer(t), await startContainer(t)]
  for (const name of names) await until(() => findingsOf(name, 'no-limits')[0])
  await writeFile(daemon.configFile, JSON.stringify(configWith([first, second], [webhook, hookAddedLater])))
  daemon.process.kill('SIGHUP')
  for (const name of names) {
    await alertOf(second, findingsOf(name, 'no-limits')[0]!)
    await until(() => received(hookAddedLater, name).length > 0)
  }
  const receivedNow = () => names.flatMap((name) => received(hookAddedLater, name))
  const before = receivedNow()
  daemon.process.kill('SIGHUP')
  await until(() => daemon.output().split('configuration reloaded').length === 3)
  const [name = ''] = names
  await docker('exec', name, 'true')
  await until(() => received(hookAddedLater, name).some(({ rule }) => rule === 'exec-command'))
  const rulesOf = (all: readonly Finding[]) => new Set(all.map(({ id, rule }) => `${rule} ${id}`))
  t.is(rulesOf(receivedNow()).size, rulesOf(before).size + 1)
  t.is(before.length, names.length)
})

test.serial('two hosts of one name have different alerts', async (t) => {
  // The same machine with another state directory, as a clone would be.
  const clone = await startDaemonFor(t, { config: configWith([first], []) })
  const name = await startContainer(t)
  const prints = await Promise.all(
    [daemon, clone].map(async ({ findings }) => {
      const finding = await until(() =>
        findings({ container: name }).find(({ rule }) => rule === 'no-limits'),
      )
      return (await alertOf(first, finding)).labels['fingerprint']
    }),
  )
  t.not(prints[0], prints[1])
})
