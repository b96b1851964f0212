import test from 'ava'
import { blockIoV2, cpuV2, memoryV2, pidsOfCgroup } from '../../../agent/sources/resources/cgroup-v2.ts'

const memoryFiles = {
  'memory.current': '1000\n',
  'memory.stat': 'anon 700\ninactive_file 300\n',
  'memory.max': 'max\n',
  'memory.swap.current': '50\n',
  'memory.events': 'oom 5\noom_kill 4\noom_group_kill 0\n',
}

const filesOf =
  (files: Record<string, string | null>) =>
  (name: string): string | null =>
    files[name] ?? null

test('reclaimable page cache is not counted, and kills are distinguished from attempts', (t) => {
  t.deepEqual(memoryV2(filesOf(memoryFiles)), {
    workingSetBytes: 700,
    limitBytes: null,
    swapBytes: 50,
    oomKills: 4,
  })
})

const limits: [text: string | null, limitBytes: number | null][] = [
  ['max\n', null],
  ['500\n', 500],
  ['0\n', 0],
  ['9223372036854771712\n', null], // more than any machine has
  [null, null], // the root of the hierarchy
]

for (const [text, limitBytes] of limits) {
  test(`memory.max ${text?.trim() ?? 'when missing'} is a limit of ${limitBytes ?? 'nothing'}`, (t) => {
    t.is(memoryV2(filesOf({ ...memoryFiles, 'memory.max': text }))?.limitBytes, limitBytes)
  })
}

test('huge numbers are read, and numbers beyond what the kernel can count are an error', (t) => {
  const huge = { ...memoryFiles, 'memory.current': '18446744073709551615\n' }
  t.is(memoryV2(filesOf(huge))?.workingSetBytes, 2 ** 64)
  const longer = { ...memoryFiles, 'memory.current': `${'9'.repeat(21)}\n` }
  t.throws(() => memoryV2(filesOf(longer)), { message: /^memory.current holds/ })
})

test('a kernel without swap or without events gives null', (t) => {
  const files = { ...memoryFiles, 'memory.swap.current': null, 'memory.events': null }
  t.like(memoryV2(filesOf(files)), { swapBytes: null, oomKills: null })
})

test('without the memory controller there is no memory usage', (t) => {
  t.is(memoryV2(filesOf({})), null)
})

test('truncated or malformed memory files are an error that names the file', (t) => {
  const cut = { ...memoryFiles, 'memory.stat': 'anon 700\ninact' }
  t.throws(() => memoryV2(filesOf(cut)), { message: 'memory.stat has no line inactive_file' })
  const garbage = { ...memoryFiles, 'memory.max': 'maximum\n' }
  t.throws(() => memoryV2(filesOf(garbage)), {
    message: String.raw`memory.max holds "maximum\n" instead of a number`,
  })
})

test('CPU times are read from microseconds, and the quota in cores', (t) => {
  const stat = 'usage_usec 2500000\nnr_periods 10\nnr_throttled 4\nthrottled_usec 1500000\n'
  t.deepEqual(cpuV2(filesOf({ 'cpu.stat': stat, 'cpu.max': '150000 100000\n' })), {
    usageSeconds: 2.5,
    quotaCores: 1.5,
    periods: 10,
    throttledPeriods: 4,
    throttledSeconds: 1.5,
  })
})

test('without a quota there are no periods', (t) => {
  const cpu = cpuV2(filesOf({ 'cpu.stat': 'usage_usec 1\n', 'cpu.max': 'max 100000\n' }))
  t.like(cpu, { quotaCores: null, periods: 0, throttledPeriods: 0, throttledSeconds: 0 })
})

test('a quota that is not a number is an error', (t) => {
  for (const max of ['', '50000', 'x 100000', '50000 x']) {
    t.throws(() => cpuV2(filesOf({ 'cpu.stat': 'usage_usec 1\n', 'cpu.max': max })), {
      message: /^cpu.max holds/,
    })
  }
})

test('processes have a limit, `max` for no limit, or no controller', (t) => {
  const files = { 'pids.current': '5\n', 'pids.max': '50\n', 'pids.events': 'max 7\n' }
  t.deepEqual(pidsOfCgroup(filesOf(files)), { current: 5, limit: 50, refusedForks: 7 })
  const unlimited = { 'pids.current': '5\n', 'pids.max': 'max\n' }
  t.deepEqual(pidsOfCgroup(filesOf(unlimited)), { current: 5, limit: null, refusedForks: null })
  t.is(pidsOfCgroup(filesOf({})), null)
})

const stats: [stat: string, readBytes: number, writtenBytes: number][] = [
  ['', 0, 0],
  ['8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n', 10, 20],
  ['254:0 rbytes=1 wbytes=2 rios=1\n8:16 rbytes=30 wbytes=40 rios=1\n', 31, 42],
  ['7:7 7:6 8:0 rbytes=5 wbytes=6 rios=1\n', 5, 6], // Linux 5.10 left lines unfinished
  ['8:0 rbytes=99999999999999999999 wbytes=x\n', 1e20, 0],
]

for (const [stat, readBytes, writtenBytes] of stats) {
  test(`block IO of ${JSON.stringify(stat.slice(0, 40))} is ${readBytes} read and ${writtenBytes} written`, (t) => {
    t.deepEqual(blockIoV2(filesOf({ 'io.stat': stat })), { readBytes, writtenBytes })
  })
}

test('a host without the controller gives no block IO', (t) => {
  t.is(blockIoV2(filesOf({})), null)
})
