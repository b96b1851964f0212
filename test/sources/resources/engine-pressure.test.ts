import test from 'ava'
import { docker } from '../../support/processes.ts'
import { until } from '../../support/until.ts'
import { firstSample, lastSample, observe, runContainer, reportedRules, samplesOf, watch } from './live.ts'

// A file that does not fit into memory, read repeatedly by several processes.
const thrash =
  'dd if=/dev/zero of=/big bs=1M count=64; ' +
  'for i in 1 2 3 4; do (while [ ! -e /calm ]; do cat /big > /dev/null; done) & done; sleep 600'
const limits = ['--memory=32m', '--memory-swap=32m', '--cpus=0.5', '--pids-limit=20']
const settings = { memory_pressure: { ratio: 0.1, resolve_ratio: 0.05, hold: '2s', resolve_hold: '1s' } }

test('a container that waits for memory is sampled when the kernel notifies, and fires until it is calm', async (t) => {
  const web = await runContainer(t, 'pressed', limits, 'sh', '-c', thrash)
  const seen = observe(t, [web], 600_000)
  const { pressure } = await firstSample(seen)
  const before = pressure.memory
  const watched = await watch(t, web, settings)
  if (before === null) {
    // With version 1 alone the kernel counts pressure only for the whole host, not per container.
    await until(() => watched.samples.length > 50)
    t.deepEqual(reportedRules(watched), [])
    return
  }
  // The next regular sample is due after ten minutes: only the kernel's notifications cause these.
  await until(() => (lastSample(seen)?.pressure.memory?.someSeconds ?? 0) - before.someSeconds >= 0.2, 60_000)
  t.true(samplesOf(seen, web) >= 2)

  await until(() => reportedRules(watched).includes('memory-pressure firing'), 60_000)
  t.true(
    Number(watched.detections.find(({ rule }) => rule === 'memory-pressure')?.evidence['some_ratio']) >= 0.1,
  )
  await docker('exec', web.id, 'touch', '/calm')
  await until(() => reportedRules(watched).includes('memory-pressure resolved'), 60_000)
  t.false(reportedRules(watched).includes('memory-near-limit firing'), 'reclaimable page cache is not in use')
})
