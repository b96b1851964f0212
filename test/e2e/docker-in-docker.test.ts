import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import type { Finding } from '../../agent/model/finding.ts'
import { type Daemon, removeState, startDaemon } from '../support/daemon.ts'
import { dockerInDocker } from '../support/docker-in-docker.ts'
import { docker, run } from '../support/processes.ts'
import { docker as tryDocker } from '../support/docker.ts'
import { until } from '../support/until.ts'

// An engine in a container, as CI runners have it, seen from the host.

test('what an engine in a container does all day is nothing critical, and who enters it from outside is', async (t) => {
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
  /** Whatever came before is judged when this is told, and some seconds are past. */
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

  // One that finds all of it there.
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

/** The container itself, and what the kernel shows of those in it, which no engine here knows; other tests have theirs. */
function isInside(container: Finding['container'], name: string): boolean {
  return container === null || container.name === name || container.image === ''
}
