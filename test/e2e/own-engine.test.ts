import { setTimeout as sleep } from 'node:timers/promises'
import { rm } from 'node:fs/promises'
import anyTest, { type TestFn } from 'ava'
import type { Finding } from '../../agent/model/finding.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { type Daemon, removeState, startDaemon, startDaemonFor } from '../support/daemon.ts'
import { hookedRuntime } from '../support/hooked-runtime.ts'
import { privateEngine, type PrivateEngine } from '../support/private-engine.ts'
import { run, start } from '../support/processes.ts'
import { fullRunCount, until } from '../support/until.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// Tests that need an engine with special options.

const test = anyTest as TestFn<{ engine: PrivateEngine; image: string; directory: string }>

test.before(async (t) => {
  const directory = await temporaryDirectory()
  const runtime = `--add-runtime=hooked=${await hookedRuntime(directory)}`
  const engine = await privateEngine(['--live-restore', runtime])
  t.context = { engine, image: await busyboxImage(), directory }
})

test.after.always(async ({ context: { engine, directory } }) => {
  await engine?.remove()
  await rm(directory, { recursive: true, force: true })
})

const checks = fullRunCount(600)

test.serial(
  `${checks} health checks, at least ten per second, are all counted and cause no findings`,
  async (t) => {
    const { engine, image } = t.context
    const daemon = await startDaemon({ args: [`--docker.host=${engine.host}`] })
    const filters = ['type=container', 'event=exec_start'].flatMap((one) => ['--filter', one])
    const events = start('docker', ['-H', engine.host, 'events', '--format', '{{.Action}}', ...filters])
    t.teardown(async () => {
      await events.stop()
      await daemon.stop()
      await removeState(daemon)
    })
    const started = () => events.output().split('\n').filter(Boolean).length
    const names = Array.from({ length: 16 }, (_, n) => `checked-${n}`)
    const ids: string[] = []
    for (const name of names) {
      const checked = ['--health-cmd=true', '--health-interval=500ms', '--stop-timeout=1', '--name', name]
      ids.push((await engine.docker('run', '-d', ...checked, image, 'sleep', '600')).trim())
    }
    const startedAt = performance.now()
    await until(() => started() >= checks, 110_000)
    t.log(`${started()} in ${Math.round(performance.now() - startedAt)} ms`)
    await engine.docker('rm', '--force', ...names)
    const counted = () => daemon.metric('tidewatch_execs_total{kind="healthcheck"}')
    await until(async () => (await counted()) === started())
    t.is(await counted(), started())
    t.is((await daemon.metric('tidewatch_execs_total{kind="command"}')) ?? 0, 0)
    // The daemon also sees the processes of the host's own engine, which other tests use.
    const entered = ({ detector, container }: Finding) =>
      /^(?:exec-into-container|unexpected-root-process)$/.test(detector) && ids.includes(container?.id ?? '')
    t.deepEqual(daemon.findings().filter(entered), [])
  },
)

test.serial('hooks of the OCI runtime cause no findings, whatever their namespaces and root', async (t) => {
  const { engine, image } = t.context
  const daemon = await startDaemonFor(t, { args: [`--docker.host=${engine.host}`] })
  const hooked = ['-d', '--stop-timeout=1', '--runtime=hooked', '--user=1000']
  await engine.docker('run', ...hooked, '--name', 'hooked', image, 'sleep', '600')
  await engine.docker('restart', 'hooked')
  await engine.docker('exec', 'hooked', 'true', 'last')
  await until(() => daemon.findings({ container: 'hooked' }).some(({ rule }) => rule === 'exec-command'))
  await sleep(4_000)
  const alerts = daemon.findings({ container: 'hooked' }).filter(({ severity }) => severity !== 'info')
  t.deepEqual(alerts, [])
})

test.serial(
  'an exec that keeps running while engine and daemon restart is not an untracked exec',
  async (t) => {
    const { engine, image } = t.context
    let stateDirectory: string | undefined
    const startOne = async (): Promise<Daemon> => {
      const own = stateDirectory === undefined ? {} : { stateDirectory }
      const daemon = await startDaemon({ ...own, args: [`--docker.host=${engine.host}`] })
      stateDirectory = daemon.stateDirectory
      t.teardown(() => daemon.stop())
      return daemon
    }
    t.teardown(() => removeState({ stateDirectory: stateDirectory ?? '' }))

    let daemon = await startOne()
    await engine.docker(
      'run',
      '-d',
      '--stop-timeout=1',
      '--user=1000',
      '--name',
      'box',
      image,
      'sleep',
      '600',
    )
    const loop = 'while :; do sleep 0.3; busybox true; done'
    await engine.docker('exec', '--detach', '--user=0', 'box', 'sh', '-c', loop)
    const exec = () => daemon.findings().find(({ rule }) => rule === 'exec-as-root')
    await until(() => (exec()?.evidence['programs'] as unknown[] | undefined)?.length === 5, 30_000)
    const caller = await until(() => exec()?.evidence['caller'])
    t.like(caller, { confidence: 'exact', user: 'root' })

    await engine.stop()
    await daemon.stop()
    await engine.start()
    daemon = await startOne()
    t.is((await engine.docker('inspect', '--format', '{{.ExecIDs}}', 'box')).trim(), '[]')
    // It keeps running programs as root, of which the engine knows nothing.
    await sleep(4_000)
    const critical = () =>
      daemon.findings({ container: 'box' }).filter(({ severity }) => severity === 'critical')
    t.deepEqual(critical(), [])
    t.deepEqual(exec()?.evidence['caller'], caller)

    // A process that enters with nsenter is not attributed to the exec.
    const pid = (await engine.docker('inspect', '--format', '{{.State.Pid}}', 'box')).trim()
    await run('nsenter', '-t', pid, '-m', '-p', 'sh', '-c', 'true by-hand')
    await until(() => critical().some(({ evidence }) => 'also' in evidence))
    const rules = critical().map(({ rule, evidence }) => [rule, evidence['also']])
    t.deepEqual(rules, [['untracked-exec', ['root-in-nonroot-container']]])
  },
)
