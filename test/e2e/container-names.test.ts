import test, { type ExecutionContext } from 'ava'
import { busyboxImage } from '../support/busybox-image.ts'
import { type Daemon, removeState, startDaemon } from '../support/daemon.ts'
import { removeContainers } from '../support/docker.ts'
import { docker } from '../support/processes.ts'
import { until } from '../support/until.ts'

// The names of real containers in metrics: renamed while they are sampled, created again, and Swarm tasks.

const prefix = `tidewatch-test-renamed-${process.pid}`
const config = { sources: { resources: { interval: '1s' } } }
let daemon: Daemon

test.before(async () => {
  daemon = await startDaemon({ config })
})

test.after.always(async () => {
  await removeContainers(prefix)
  await daemon.stop()
  await removeState(daemon)
})

// Uses so much CPU time that a counter that starts again is lower.
const busy = ['sh', '-c', 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 600']

async function runContainer(name: string, options: readonly string[] = [], command = busy): Promise<string> {
  const image = await busyboxImage()
  return (await docker('run', '-d', '--network=none', '--name', name, ...options, image, ...command)).trim()
}

type Seen = { usage: Map<string, number>; idOf: Map<string, string> }

/** Scrapes until the condition holds; no CPU counter may fall meanwhile. */
async function scrapeUntil(
  t: ExecutionContext,
  isDone: (seen: Seen) => boolean,
  before?: Seen,
): Promise<Seen> {
  let last = before?.usage ?? new Map<string, number>()
  return await until(async () => {
    const seen = parse(await daemon.metrics())
    for (const [name, value] of seen.usage) t.true(value >= (last.get(name) ?? 0), name)
    last = new Map([...last, ...seen.usage])
    return isDone(seen) ? seen : undefined
  })
}

function parse(metrics: string): Seen {
  const seen: Seen = { usage: new Map(), idOf: new Map() }
  for (const line of metrics.split('\n')) {
    const name = /[{,]container="([^"]*)"/.exec(line)?.[1] ?? ''
    if (!name.startsWith(prefix)) continue
    if (line.startsWith('tidewatch_container_cpu_usage_seconds_total'))
      seen.usage.set(name, Number(line.slice(line.lastIndexOf(' '))))
    if (line.startsWith('tidewatch_container_info'))
      seen.idOf.set(name, /container_id="([^"]*)"/.exec(line)?.[1] ?? '')
  }
  return seen
}

const usesCpu = (name: string) => (seen: Seen) => (seen.usage.get(name) ?? 0) > 0.2

test('a counter continues when a container is created again under the same name', async (t) => {
  const name = `${prefix}-again`
  await runContainer(name)
  const first = await scrapeUntil(t, usesCpu(name))
  await docker('rm', '--force', name)
  const id = await runContainer(name, [], ['sleep', '600'])
  const total = first.usage.get(name) ?? 0
  const second = await scrapeUntil(
    t,
    ({ usage, idOf }) => idOf.get(name) === id && (usage.get(name) ?? 0) > total,
    first,
  )
  await docker('restart', '--time=0', name)
  const restarted = second.usage.get(name) ?? 0
  await scrapeUntil(t, ({ usage }) => (usage.get(name) ?? 0) > restarted, second)
})

test('a renamed container has its series under the new name only, and they continue there', async (t) => {
  const [before, after] = [`${prefix}-before`, `${prefix}-after`]
  await runContainer(before)
  const first = await scrapeUntil(t, usesCpu(before))
  await docker('exec', before, 'true')
  await until(async () => (await daemon.metrics()).includes(`findings_total{container="${before}"`))
  await docker('rename', before, after)
  const renamed = await scrapeUntil(t, ({ idOf }) => idOf.has(after), first)
  t.false((await daemon.metrics()).includes(`container="${before}"`))
  t.true((await daemon.metrics()).includes(`findings_total{container="${after}"`))
  t.true((renamed.usage.get(after) ?? 0) >= (first.usage.get(before) ?? 0))
})

test.serial(
  'two tasks of one Swarm slot have two names, which a restarted daemon gives them too',
  async (t) => {
    const slot = `${prefix}-svc.1`
    const runTask = (taskId: string) => {
      const name = `${slot}.${taskId}`
      const labels = { id: taskId, name }
      return runContainer(
        name,
        Object.entries(labels).flatMap(([key, value]) => [
          '--label',
          `com.docker.swarm.task.${key}=${value}`,
        ]),
      )
    }
    const [oldTask, newTask] = ['zoldtask4567890abcdefghij', 'anewtask4567890abcdefghij']
    const longer = `${slot}.zoldta`
    const old = await runTask(oldTask)
    const first = await scrapeUntil(t, usesCpu(slot))
    t.is(first.idOf.get(slot), old)
    const fresh = await runTask(newTask)
    const hasBoth = ({ idOf }: Seen) => idOf.get(slot) === fresh && idOf.get(longer) === old
    const both = await scrapeUntil(t, (seen) => hasBoth(seen) && (seen.usage.get(longer) ?? 0) > 0, first)
    t.true((both.usage.get(longer) ?? 0) >= (first.usage.get(slot) ?? 0))
    await scrapeUntil(t, ({ usage }) => (usage.get(slot) ?? 0) > (both.usage.get(slot) ?? 0), both)

    await daemon.stop()
    daemon = await startDaemon({ config, stateDirectory: daemon.stateDirectory })
    await scrapeUntil(t, hasBoth)
    await docker('stop', '--time=0', fresh)
    const alone = await scrapeUntil(t, ({ idOf }) => !idOf.has(slot))
    t.is(alone.idOf.get(longer), old)
    await daemon.stop()
    daemon = await startDaemon({ config, stateDirectory: daemon.stateDirectory })
    t.is((await scrapeUntil(t, ({ idOf }) => idOf.size > 0)).idOf.get(longer), old)
  },
)
