import test from 'ava'
import { blockIoV1, cpuV1, memoryV1 } from '../../../agent/sources/resources/cgroup-v1.ts'

const memoryFiles = {
  'memory.usage_in_bytes': '1000\n',
  'memory.stat': 'inactive_file 1\nhierarchical_memory_limit 5000\ntotal_inactive_file 300\ntotal_swap 50\n',
  'memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 3\n',
}
const cpuFiles = {
  'cpu.stat': 'nr_periods 10\nnr_throttled 4\nthrottled_time 1500000000\n',
  'cpu.cfs_quota_us': '150000\n',
  'cpu.cfs_period_us': '100000\n',
  'cpuacct.usage': '2500000000\n',
}

const filesOf =
  (files: Record<string, string | null>) =>
  (name: string): string | null =>
    files[name] ?? null

test('reclaimable page cache is not counted, and the limit is the lowest along the path', (t) => {
  t.deepEqual(memoryV1(filesOf(memoryFiles)), {
    workingSetBytes: 700,
    limitBytes: 5000,
    swapBytes: 50,
    oomKills: 3,
  })
})

test('the number that version 1 writes without a limit is read as no limit, with pages of 4 and of 64 KiB', (t) => {
  for (const none of ['9223372036854771712', '9223372036854710272']) {
    const stat = `hierarchical_memory_limit ${none}\ntotal_inactive_file 0`
    t.is(memoryV1(filesOf({ ...memoryFiles, 'memory.stat': stat }))?.limitBytes, null)
  }
})

test('usage below the page cache is 0, not negative', (t) => {
  t.is(memoryV1(filesOf({ ...memoryFiles, 'memory.usage_in_bytes': '100\n' }))?.workingSetBytes, 0)
})

test('an old kernel without the kill counter gives null', (t) => {
  t.is(memoryV1(filesOf({ ...memoryFiles, 'memory.oom_control': 'under_oom 0\n' }))?.oomKills, null)
  t.is(memoryV1(filesOf({ ...memoryFiles, 'memory.oom_control': null }))?.oomKills, null)
})

test('a host without swap accounting gives null', (t) => {
  const stat = 'hierarchical_memory_limit 5000\ntotal_inactive_file 300\n'
  t.is(memoryV1(filesOf({ ...memoryFiles, 'memory.stat': stat }))?.swapBytes, null)
})

test('without the memory controller there is no memory usage', (t) => {
  t.is(memoryV1(filesOf({})), null)
})

for (const broken of [
  { 'memory.usage_in_bytes': '' },
  { 'memory.usage_in_bytes': '-1\n' },
  { 'memory.usage_in_bytes': '12 34\n' },
  { 'memory.usage_in_bytes': `${'9'.repeat(400)}\n` },
  { 'memory.stat': null },
  { 'memory.stat': 'total_inactive_fi' },
  { 'memory.stat': 'total_inactive_file x\nhierarchical_memory_limit 1\n' },
]) {
  test(`memory files that hold ${JSON.stringify(broken).slice(0, 60)} are an error that names the file`, (t) => {
    const name = Object.keys(broken)[0] ?? ''
    t.throws(() => memoryV1(filesOf({ ...memoryFiles, ...broken })), { message: new RegExp(`^${name} `) })
  })
}

test('CPU times are read from nanoseconds and the quota in cores', (t) => {
  t.deepEqual(cpuV1(filesOf(cpuFiles), filesOf(cpuFiles)), {
    usageSeconds: 2.5,
    quotaCores: 1.5,
    periods: 10,
    throttledPeriods: 4,
    throttledSeconds: 1.5,
  })
})

test('a kernel that cannot throttle, and a container without a quota, have none', (t) => {
  const read = filesOf({ 'cpuacct.usage': '0\n' })
  t.like(cpuV1(read, read), { quotaCores: null, periods: 0, throttledPeriods: 0, throttledSeconds: 0 })
  const unlimited = filesOf({ ...cpuFiles, 'cpu.cfs_quota_us': '-1\n' })
  t.is(cpuV1(unlimited, unlimited).quotaCores, null)
})

const io = '8:0 Read 100\n8:0 Write 20\n8:0 Total 120\n254:0 Read 3\n254:0 Write 0\nTotal 123\n'

test('block IO is the sum over all devices, also from the older file name', (t) => {
  for (const name of ['blkio.throttle.io_service_bytes_recursive', 'blkio.throttle.io_service_bytes']) {
    t.deepEqual(blockIoV1(filesOf({ [name]: io })), { readBytes: 103, writtenBytes: 20 })
  }
})

test('a kernel that does not count block IO and a host without the controller give null', (t) => {
  t.is(blockIoV1(filesOf({ 'blkio.throttle.io_service_bytes_recursive': 'Total 0\n' })), null)
  t.is(blockIoV1(filesOf({})), null)
})
