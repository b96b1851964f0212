import test from 'ava'
import { usageOfStats } from '../../../agent/sources/resources/docker-stats.ts'

const unlimited = { memoryBytes: null, cpus: null, pids: null }
const limited = { memoryBytes: 5000, cpus: 0.5, pids: 50 }

// As Docker 20.10 answered on a host with version 1, less what is not used.
const v1 = {
  read: '2026-11-24T05:37:33.515756335Z',
  pids_stats: { current: 3, limit: 50 },
  cpu_stats: {
    cpu_usage: { total_usage: 33_000_000 },
    system_cpu_usage: 1_090_730_000_000,
    throttling_data: { periods: 8, throttled_periods: 2, throttled_time: 1_000_000 },
  },
  blkio_stats: {
    io_service_bytes_recursive: [
      { major: 254, minor: 0, op: 'Read', value: 4_096 },
      { major: 254, minor: 0, op: 'Write', value: 8_192 },
      { major: 254, minor: 0, op: 'Total', value: 12_288 },
      { major: 8, minor: 16, op: 'read', value: 4 },
    ],
    io_serviced_recursive: null,
  },
  memory_stats: {
    usage: 1000,
    limit: 5000,
    stats: { inactive_file: 1, total_inactive_file: 300, hierarchical_memory_limit: 4000, total_swap: 50 },
  },
}

test('an answer of an engine with cgroup v1 is read like its files', (t) => {
  t.deepEqual(usageOfStats(v1, limited), {
    memory: { workingSetBytes: 700, limitBytes: 4000, swapBytes: 50, oomKills: null },
    cpu: { usageSeconds: 0.033, quotaCores: 0.5, periods: 8, throttledPeriods: 2, throttledSeconds: 0.001 },
    pids: { current: 3, limit: 50, refusedForks: null },
    pressure: { cpu: null, memory: null, io: null },
    blockIo: { readBytes: 4_100, writtenBytes: 8_192 },
  })
})

test('the host total that the engine reports without a limit is read as no limit', (t) => {
  const v2 = { ...v1, memory_stats: { usage: 1000, limit: 25_276_502_016, stats: { inactive_file: 300 } } }
  t.deepEqual(usageOfStats(v2, unlimited)?.memory, {
    workingSetBytes: 700,
    limitBytes: null,
    swapBytes: null,
    oomKills: null,
  })
  t.is(
    usageOfStats({ ...v2, memory_stats: { ...v2.memory_stats, limit: 5000 } }, limited)?.memory.limitBytes,
    5000,
  )
  const v1None = { ...v1.memory_stats, stats: { hierarchical_memory_limit: 9_223_372_036_854_771_712 } }
  t.is(usageOfStats({ ...v1, memory_stats: v1None }, unlimited)?.memory.limitBytes, null)
})

test('without a process limit the field is absent, 0 or the greatest number, depending on the engine', (t) => {
  for (const pids of [{ current: 3 }, { current: 3, limit: 0 }, { current: 3, limit: 2 ** 64 }]) {
    t.deepEqual(usageOfStats({ ...v1, pids_stats: pids }, unlimited)?.pids, {
      current: 3,
      limit: null,
      refusedForks: null,
    })
  }
})

test('an engine that reports no block IO gives null', (t) => {
  for (const blkio_stats of [undefined, {}, { io_service_bytes_recursive: null }]) {
    t.is(usageOfStats({ ...v1, blkio_stats }, limited)?.blockIo, null)
  }
})

test('the zeros of a stopped container are not a sample', (t) => {
  const stopped = {
    read: '0001-01-01T00:00:00Z',
    pids_stats: {},
    cpu_stats: {
      cpu_usage: { total_usage: 0 },
      throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
    },
    memory_stats: {},
  }
  t.is(usageOfStats(stopped, unlimited), null)
})

test('a malformed answer is an error, never a sample', (t) => {
  for (const body of [
    '',
    [],
    7,
    {},
    { ...v1, cpu_stats: null },
    { ...v1, memory_stats: { usage: 'much' } },
  ]) {
    t.throws(() => usageOfStats(body, unlimited), { message: /^the engine's statistics are malformed: / })
  }
})
