import test from 'ava'
import type { Finding } from '../../agent/model/finding.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { type Daemon, removeState, startDaemon } from '../support/daemon.ts'
import { removeContainers } from '../support/docker.ts'
import { docker } from '../support/processes.ts'
import { patience, scaled, until } from '../support/until.ts'

// Findings from the processes and resources sources together, with a real daemon and its default intervals.

const prefix = `tidewatch-test-limits-${process.pid}`
let daemon: Daemon
let isExact: boolean

test.before(async () => {
  daemon = await startDaemon({})
  const mode = (name: string) => daemon.metric(`tidewatch_source_mode{source="processes",mode="${name}"}`)
  // The procfs mode gets no events for forks and exits.
  isExact =
    (await until(
      async () => (await mode('ebpf')) ?? (await mode('connector')) ?? ((await mode('procfs')) && 0),
    )) === 1
})

test.after.always(async () => {
  await removeContainers(prefix)
  await daemon.stop()
  await removeState(daemon)
})

// No swap. With a much lower limit the runtime itself would be killed while it enters: with cgroup v2 the copy that it
// makes of itself counts.
const tight = ['--memory=64m', '--memory-swap=64m']

async function runContainer(suffix: string, ...options: string[]): Promise<string> {
  const name = `${prefix}-${suffix}`
  await docker('run', '-d', '--name', name, ...options, await busyboxImage(), 'sleep', '600')
  return name
}

function found(container: string, rule: string): Promise<Finding> {
  return until(() => daemon.findings({ container }).find((finding) => finding.rule === rule))
}

test('a child that is OOM-killed is named', async (t) => {
  const container = await runContainer('oom', ...tight)
  // The program of the exec survives and does not report that its child was killed.
  const script = 'sleep 100 & tail /dev/zero; true'
  await docker('exec', container, 'sh', '-c', script)
  const finding = await found(container, 'oom-kill')
  t.deepEqual(finding.evidence['killed_processes'], isExact ? ['tail /dev/zero'] : undefined)
  t.is(finding.evidence['killed_execs'], undefined)
})

test.serial(
  'of many containers with OOM kills at once, each has one finding; its rule depends on whether the main process was killed',
  async (t) => {
    t.timeout(600_000 * patience)
    const image = await busyboxImage()
    const suffixes = (kind: string, count: number) =>
      Array.from({ length: count }, (_, index) => `${kind}-${index}`)
    const whole = suffixes('whole', scaled(40))
    const parts = suffixes('part', scaled(8))
    await Promise.all(parts.map((suffix) => runContainer(suffix, ...tight)))
    const kill = (suffix: string) => docker('exec', `${prefix}-${suffix}`, 'sh', '-c', 'tail /dev/zero; true')
    const die = (suffix: string) =>
      docker('run', '-d', '--name', `${prefix}-${suffix}`, ...tight, image, 'tail', '/dev/zero')
    const eventsBefore = await oomEvents()
    await Promise.all([...whole.map(die), ...parts.map(kill)])

    const rulesOf = (suffix: string) =>
      daemon
        .findings({ container: `${prefix}-${suffix}` })
        .flatMap(({ rule, count }) =>
          rule.endsWith('oom-kill') || rule === 'container-oom-killed' ? Array<string>(count).fill(rule) : [],
        )
    const all = [...whole, ...parts]
    await until(() => all.every((suffix) => rulesOf(suffix).length > 0), 180_000)
    // The engine's events may arrive long after the kills and must not add findings. With cgroup v2 some never arrive.
    const expected = (await docker('info', '-f', '{{.CgroupVersion}}')).trim() === '1' ? all.length : 0
    await until(async () => (await oomEvents()) - eventsBefore >= expected, 180_000)
    for (const suffix of whole) t.deepEqual(rulesOf(suffix), ['container-oom-killed'], suffix)
    for (const suffix of parts) t.deepEqual(rulesOf(suffix), ['oom-kill'], suffix)
  },
)

/** The number of OOM events from the engine that the daemon has seen. */
async function oomEvents(): Promise<number> {
  return (await daemon.metric('tidewatch_source_events_total{source="containers",type="oom"}')) ?? 0
}

test('a fork bomb is detected by its growth, before it hits the process limit', async (t) => {
  const container = await runContainer('bomb', '--pids-limit=2000')
  const bomb = 'i=0; while [ $i -lt 1500 ]; do sleep 600 & i=$((i+1)); done; sleep 600'
  await docker('exec', '-d', container, 'sh', '-c', bomb)
  const finding = await found(container, 'process-burst')
  t.is(finding.evidence['limit'], 2_000)
  t.true(Number(finding.evidence['grown_by']) >= 500)
  t.deepEqual(
    daemon.findings({ container }).filter(({ rule }) => rule === 'pids-limit-hit'),
    [],
  )
})
