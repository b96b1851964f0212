import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import type { Finding } from '../../agent/model/finding.ts'
import { type Daemon, removeState, startDaemon } from '../support/daemon.ts'
import { dockerInDocker } from '../support/docker-in-docker.ts'
import { docker, run } from '../support/processes.ts'
import { docker as tryDocker } from '../support/docker.ts'
import { until } from '../support/until.ts'

// An engine in a container, as on CI runners, monitored from the host.

test('ordinary operation of an engine in a container causes no critical finding, but entering it with nsenter does', async (t) => {
  const name = `tidewatch-test-dind-${process.pid}`
  const tag = `${name}:1`
  t.teardown(() => tryDocker('rmi', '--force', tag))
  t.teardown(() => tryDocker('rm', '--force', '--volumes', name))
  async function startOne(): Promise<Daemon> {
    const one = await startDaemon()
    t.teardown(async () => {
      await one.stop()
      await removeState(one)
    })
    return one
  }
  const daemon = await startOne()
  const { inner, image } = await dockerInDocker(name, tag)
  const started = ['run', '-d', '--network=none', '--name']
  const criticalOf = ({ findings }: Daemon) =>
    findings({})
      .filter(({ severity, container }) => severity === 'critical' && isInside(container, name))
      .map(({ rule, summary, evidence }) => ({ rule, summary, evidence }))
  /** Waits until earlier operations have been judged: until a later exec is reported, and a few seconds more. */
  async function settled(one: Daemon, mark: string): Promise<void> {
    await docker('exec', name, 'true', mark)
    await until(() =>
      one.findings({ container: name }).some(({ summary }) => summary.includes(`true ${mark}`)),
    )
    await sleep(4_000)
  }

  await inner(...started, 'box', image, 'sleep', '600')
  await inner(...started, 'user', '--user=1000', '--init', image, 'sleep', '600')
  await inner(...started, 'checked', '--health-cmd=true', '--health-interval=500ms', image, 'sleep', '600')
  await inner('exec', 'box', 'sh', '-c', 'id; true first')
  await inner('exec', '--detach', '--user=0', 'user', 'sh', '-c', 'while :; do sleep 0.5; busybox true; done')
  await inner('run', '--rm', '--network=none', image, 'sh', '-c', 'sleep 0.1 & wait')
  await inner('top', 'box')
  await inner('restart', '--time', '0', 'box')
  await settled(daemon, 'seen')
  t.deepEqual(criticalOf(daemon), [])

  // A daemon that starts when everything is already running.
  const second = await startOne()
  await inner('exec', 'box', 'true', 'second')
  await inner('rm', '--force', 'checked')
  await settled(second, 'found')
  t.deepEqual(criticalOf(second), [])

  const pid = (await docker('inspect', '--format', '{{.State.Pid}}', name)).trim()
  await run('nsenter', '-t', pid, '-m', '-p', 'sh', '-c', 'true by-hand')
  const [entered] = await until(() => {
    const found = second.findings({ container: name }).filter(({ rule }) => rule === 'untracked-exec')
    return found.length > 0 && found
  })
  t.is(entered?.evidence['tool'], 'nsenter')
})

/**
 * Whether it is the container itself or one inside it, which the host's engine does not know and which therefore has no
 * image. Containers of other tests are excluded.
 */
function isInside(container: Finding['container'], name: string): boolean {
  return container === null || container.name === name || container.image === ''
}
