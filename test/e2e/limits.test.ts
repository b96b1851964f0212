import test from 'ava'
import type { Finding } from '../../agent/model/finding.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { type Daemon, removeState, startDaemon } from '../support/daemon.ts'
import { removeContainers } from '../support/docker.ts'
import { docker } from '../support/processes.ts'
import { until } from '../support/until.ts'

// What processes and resources tell together, seen by the whole daemon at its ordinary pace.

const prefix = `tidewatch-test-limits-${process.pid}`
let daemon: Daemon
let isExact: boolean

test.before(async () => {
  daemon = await startDaemon({})
  const mode = (name: string) => daemon.metric(`tidewatch_source_mode{source="processes",mode="${name}"}`)
  // The simplest mode is told of no fork and no end.
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

async function runContainer(suffix: string, ...options: string[]): Promise<string> {
  const name = `${prefix}-${suffix}`
  await docker('run', '-d', '--name', name, ...options, await busyboxImage(), 'sleep', '600')
  return name
}

function found(container: string, rule: string): Promise<Finding> {
  return until(() => daemon.findings({ container }).find((finding) => finding.rule === rule))
}

test('a child that is killed for want of memory is named', async (t) => {
  const container = await runContainer('oom', '--memory=32m', '--memory-swap=32m')
  // The exec's own program lives on, and says nothing of its child.
  const script = 'sleep 100 & tail /dev/zero; true'
  await docker('exec', container, 'sh', '-c', script)
  const finding = await found(container, 'oom-kill')
  t.deepEqual(finding.evidence['killed_processes'], isExact ? ['tail /dev/zero'] : undefined)
  t.is(finding.evidence['killed_execs'], undefined)
})

test('a fork bomb is found by how its processes multiply, without its limit being hit', async (t) => {
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
