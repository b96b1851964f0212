import { setTimeout as sleep } from 'node:timers/promises'
import anyTest, { type TestFn } from 'ava'
import { busyboxImage } from '../support/busybox-image.ts'
import { type Daemon, removeState, startDaemon } from '../support/daemon.ts'
import { privateEngine, type PrivateEngine } from '../support/private-engine.ts'
import { run } from '../support/processes.ts'
import { until } from '../support/until.ts'

const test = anyTest as TestFn<{ engine: PrivateEngine; image: string }>

test.before(async (t) => {
  t.context = { engine: await privateEngine(['--live-restore']), image: await busyboxImage() }
})

test.after.always(async ({ context: { engine } }) => await engine?.remove())

test('an exec that goes on while engine and daemon are restarted is no entry without the engine', async (t) => {
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
  await engine.docker('run', '-d', '--stop-timeout=1', '--user=1000', '--name', 'box', image, 'sleep', '600')
  const goesOn = 'while :; do sleep 0.3; busybox true; done'
  await engine.docker('exec', '--detach', '--user=0', 'box', 'sh', '-c', goesOn)
  const exec = () => daemon.findings().find(({ rule }) => rule === 'exec-as-root')
  await until(() => (exec()?.evidence['programs'] as unknown[] | undefined)?.length === 5, 30_000)
  const caller = exec()?.evidence['caller']
  t.like(caller, { confidence: 'exact', user: 'root' })

  await engine.stop()
  await daemon.stop()
  await engine.start()
  daemon = await startOne()
  t.is((await engine.docker('inspect', '--format', '{{.ExecIDs}}', 'box')).trim(), '[]')
  // Again and again it runs a program, as root, that the engine knows nothing of.
  await sleep(4_000)
  const critical = () =>
    daemon.findings({ container: 'box' }).filter(({ severity }) => severity === 'critical')
  t.deepEqual(critical(), [])
  t.deepEqual(exec()?.evidence['caller'], caller)

  // Whoever enters beside it is no part of it.
  const pid = (await engine.docker('inspect', '--format', '{{.State.Pid}}', 'box')).trim()
  await run('nsenter', '-t', pid, '-m', '-p', 'sh', '-c', 'true by-hand')
  await until(() => critical().length >= 2)
  const rules = critical().map(({ rule }) => rule)
  t.deepEqual(rules.toSorted(), ['root-in-nonroot-container', 'untracked-exec'])
})
