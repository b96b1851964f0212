import test from 'ava'
import { docker } from '../../support/processes.ts'
import { until } from '../../support/until.ts'
import { firstSample, lastSample, observe, runContainer, said, samplesOf, watch } from './live.ts'

// A file that is read again and again and never fits, by several at once.
const thrash =
  'dd if=/dev/zero of=/big bs=1M count=64; ' +
  'for i in 1 2 3 4; do (while [ ! -e /calm ]; do cat /big > /dev/null; done) & done; sleep 600'
const limits = ['--memory=32m', '--memory-swap=32m', '--cpus=0.5', '--pids-limit=20']
const settings = { memory_pressure: { ratio: 0.1, resolve_ratio: 0.05, hold: '2s' } }

test('a container that waits for memory is told of by the kernel before its turn, and fires until it is calm', async (t) => {
  const web = await runContainer(t, 'pressed', limits, 'sh', '-c', thrash)
  const seen = observe(t, [web], 600_000)
  const { pressure } = await firstSample(seen)
  const before = pressure.memory
  const watched = await watch(t, web, settings)
  if (before === null) {
    // With version 1 alone the kernel keeps pressure for the whole host, which is nobody's in particular.
    await until(() => watched.samples.length > 50)
    t.deepEqual(said(watched), [])
    return
  }
  await until(() => samplesOf(seen, web) >= 3, 60_000)
  t.true((lastSample(seen)?.pressure.memory?.someSeconds ?? 0) - before.someSeconds >= 0.2)

  await until(() => said(watched).includes('memory-pressure firing'), 60_000)
  t.true(
    Number(watched.detections.find(({ rule }) => rule === 'memory-pressure')?.evidence['some_ratio']) >= 0.1,
  )
  await docker('exec', web.id, 'touch', '/calm')
  await until(() => said(watched).includes('memory-pressure resolved'), 60_000)
  t.false(said(watched).includes('memory-near-limit firing'), 'page cache that can go is not in use')
})
