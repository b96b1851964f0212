import { isDeepStrictEqual as isEqual } from 'node:util'
import { writeFile } from 'node:fs/promises'
import anyTest, { type ExecutionContext, type TestFn } from 'ava'
import { type Alertmanager, startAlertmanager } from '../support/alertmanager.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { type Daemon, removeState, startDaemon, tidewatch, logIfFailed } from '../support/daemon.ts'
import { removeContainers } from '../support/docker.ts'
import { docker } from '../support/processes.ts'
import { until } from '../support/until.ts'

// The policy with real containers: allowed findings are only stored, all others are also sent.

type Context = { daemon: Daemon; alertmanager: Alertmanager; allowedImage: string; image: string }
const test = anyTest as TestFn<Context>
const serial = test.serial
const prefix = `tidewatch-test-policy-${process.pid}`
let containers = 0

const unthrottled = { fold: '0s', per_container: 100_000, per_rule: 100_000 }
const dump = {
  reason: 'nightly dump',
  when: `rule == "exec-command" && container.image.startsWith("${prefix}-db") && evidence.argv[0] == "date" && evidence.argv[1] == "-u"`,
}

test.before(async (t) => {
  const image = await busyboxImage()
  const allowedImage = `${prefix}-db:16`
  await docker('tag', image, allowedImage)
  const alertmanager = await startAlertmanager()
  const daemon = await startDaemon({
    config: configOf({ allow: [dump], throttle: unthrottled }, alertmanager),
  })
  t.context = { image, allowedImage, alertmanager, daemon }
})

test.afterEach.always((t) => logIfFailed(t, t.context.daemon))

test.after.always(async (t) => {
  await removeContainers(prefix)
  await docker('rmi', t.context.allowedImage).catch(() => undefined)
  await t.context.daemon.stop()
  await t.context.alertmanager.remove()
  await removeState(t.context.daemon)
})

function configOf(policy: object, { url }: Pick<Alertmanager, 'url'>, rest: object = {}): object {
  return { policy, alertmanagers: [{ url, min_severity: 'info' }], ...rest }
}

async function runContainer(image: string, ...options: string[]): Promise<string> {
  const name = `${prefix}-${(containers += 1)}`
  await docker('run', '-d', '--network=none', '--name', name, ...options, image, 'sleep', '600')
  return name
}

/** The findings about execs in a container. */
function execsIn({ context: { daemon } }: ExecutionContext<Context>, container: string, suppressed: boolean) {
  return daemon.findings({ container, detector: 'exec-into-container', suppressed })
}

async function reload({ context: { daemon } }: ExecutionContext<Context>, config: object): Promise<void> {
  await writeFile(daemon.configFile, JSON.stringify(config))
  const before = daemon.output().length
  daemon.process.kill('SIGHUP')
  await until(() => /reloaded/.test(daemon.output().slice(before)), 30_000)
}

serial('an allow entry for one command in one image allows nothing else', async (t) => {
  const { daemon, alertmanager, image, allowedImage } = t.context
  const [db, other] = [await runContainer(allowedImage), await runContainer(image)]
  await docker('exec', db, 'date', '-u')
  await docker('exec', db, 'date')
  await docker('exec', other, 'date', '-u')
  await until(() => execsIn(t, db, true).length === 1 && execsIn(t, db, false).length === 1, 60_000)
  await until(() => execsIn(t, other, false).length === 1, 60_000)
  t.like(execsIn(t, db, true), [
    {
      state: 'suppressed',
      suppressed: { by: 'policy.allow[0]', reason: 'nightly dump' },
      evidence: { argv: ['date', '-u'] },
    },
  ])
  t.deepEqual(execsIn(t, other, true), [])

  const alertsOf = async (container: string) =>
    (await alertmanager.alerts()).filter(
      ({ labels }) => labels['container'] === container && labels['detector'] === 'exec-into-container',
    )
  await until(async () => (await alertsOf(other)).length === 1, 60_000)
  const [alert, ...more] = await until(async () => {
    const alerts = await alertsOf(db)
    return alerts.length > 0 && alerts
  }, 60_000)
  t.deepEqual(more, [])
  t.is(alert?.annotations['evidence_argv'], 'date')
  t.is(
    await daemon.metric(
      'tidewatch_findings_suppressed_total{detector="exec-into-container",rule="exec-command",reason="allowed"}',
    ),
    1,
  )

  const listed = (...flags: string[]) =>
    tidewatch(
      'findings',
      `--state.directory=${daemon.stateDirectory}`,
      `--container=${db}`,
      '--detector=exec-into-container',
      ...flags,
    )
  t.regex(await listed('--suppressed'), /date -u.*\(allowed: nightly dump\)/)
  t.notRegex(await listed(), /nightly dump/)
  t.is((await listed('--suppressed', '--format=json')).trim().split('\n').length, 1)
})

serial('a secret on the command line is masked everywhere', async (t) => {
  const { daemon, alertmanager, image } = t.context
  const name = await runContainer(image)
  const secret = 'hunter2secret'
  await docker('exec', '-e', `DB_PASSWORD=${secret}`, name, 'sh', '-c', `true --password=${secret}`)
  const [finding] = await until(() => {
    const found = execsIn(t, name, false)
    return found.length > 0 && found
  }, 60_000)
  t.true(JSON.stringify(finding).includes('--password=***'), JSON.stringify(finding))
  await until(
    async () => (await alertmanager.alerts()).some(({ labels }) => labels['container'] === name),
    60_000,
  )
  // The caller is added to the finding later; it must not contain the secret either.
  await docker('exec', name, 'true')
  await until(() => execsIn(t, name, false).some(({ summary }) => summary.includes('`true` in')), 60_000)
  t.false(JSON.stringify(daemon.findings()).includes(secret))
  t.false(JSON.stringify(await alertmanager.alerts()).includes(secret))
  t.false(daemon.output().includes(secret))
  t.false((await (await fetch(daemon.url)).text()).includes(secret))
  t.false((await daemon.metrics()).includes(secret))
})

serial(
  'SIGHUP applies a valid configuration, keeps the old one if the new one is invalid, and loses no events',
  async (t) => {
    const { daemon, alertmanager, image } = t.context
    const name = await runContainer(image)
    const successful = () => daemon.metric('tidewatch_config_last_reload_successful')
    const invalid = { policy: { allow: [{ reason: 'x', when: 'rul == "x"' }] }, bogus: 1 }
    const allowed = {
      allow: [
        dump,
        { reason: 'id is known', when: `container.name == "${name}" && evidence.argv[0] == "id"` },
      ],
      throttle: unthrottled,
    }

    await reload(t, invalid)
    await until(async () => (await successful()) === 0)
    t.regex(daemon.output(), /unknown variable: rul/)
    t.regex(daemon.output(), /bogus: unknown key/)
    await docker('exec', name, 'id', '-u')
    await until(() => execsIn(t, name, false).length === 1, 60_000)

    await reload(t, configOf(allowed, alertmanager))
    await until(async () => (await successful()) === 1)
    await docker('exec', name, 'id', '-g')
    // Updates of the earlier exec's finding are checked against the new policy too.
    await until(
      () => execsIn(t, name, true).some(({ evidence }) => isEqual(evidence['argv'], ['id', '-g'])),
      60_000,
    )

    // Under load: every exec is reported once, whichever configuration was in effect.
    const count = 24
    const sourcesBefore = (daemon.output().match(/processes is up/g) ?? []).length
    const reloading = (async () => {
      for (let round = 0; round < 4; round += 1)
        await reload(
          t,
          configOf(
            allowed,
            alertmanager,
            round % 2 === 0 ? { detectors: { 'monitor-integrity': { lost_window: '2m' } } } : {},
          ),
        )
    })()
    for (let n = 0; n < count; n += 1) await docker('exec', name, 'true', `mark-${n}`)
    await reloading
    const marks = () =>
      execsIn(t, name, false).flatMap(({ evidence }) => String((evidence['argv'] as string[])[1]))
    await until(() => marks().filter((mark) => mark.startsWith('mark-')).length >= count, 60_000)
    t.deepEqual(
      marks()
        .filter((mark) => mark.startsWith('mark-'))
        .toSorted(),
      Array.from({ length: count }, (_, n) => `mark-${n}`).toSorted(),
    )
    t.is((daemon.output().match(/processes is up/g) ?? []).length, sourcesBefore)
  },
)

serial('repetitions are one finding with a count, and overrides apply to single containers', async (t) => {
  const { daemon, alertmanager, image } = t.context
  const [folded, off] = [await runContainer(image), await runContainer(image)]
  const overrides = [{ match: { name: off }, enabled: false }]
  await reload(
    t,
    configOf({ throttle: { fold: '5m' } }, alertmanager, {
      detectors: { 'exec-into-container': { overrides } },
    }),
  )
  for (let n = 0; n < 5; n += 1) {
    await docker('exec', off, 'true')
    await docker('exec', folded, 'true')
  }
  await docker('exec', folded, 'true', 'another')
  await until(() => execsIn(t, folded, false)[0]?.count === 5, 60_000)
  await until(() => execsIn(t, folded, false).length === 2)
  t.is(execsIn(t, folded, false)[1]?.count, 1)
  t.deepEqual(execsIn(t, off, false), [])

  const explained = await tidewatch('check-config', daemon.configFile, '--explain', off)
  t.regex(explained, /exec-into-container: override 1 +\{"name":".*"\} +\S+:1\n/)
  t.regex(explained, /exec-into-container: enabled +false +\S+:1\n/)
  t.regex(explained, /unexpected-root-process: enabled +true +default\n/)
})
