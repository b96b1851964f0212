import test from 'ava'
import { cpuV2, memoryV2, pidsOfCgroup } from '../../agent/resources/cgroup-v2.ts'

const memoryFiles = {
  'memory.current': '1000\n',
  'memory.stat': 'anon 700\ninactive_file 300\n',
  'memory.max': 'max\n',
  'memory.events': 'oom 5\noom_kill 4\noom_group_kill 0\n',
}

const filesOf =
  (files: Record<string, string | null>) =>
  (name: string): string | null =>
    files[name] ?? null

test('page cache that can go is not counted, and kills are told from attempts', (t) => {
  t.deepEqual(memoryV2(filesOf(memoryFiles), 0), { workingSetBytes: 700, limitBytes: null, oomKills: 4 })
})

const limits: [own: string, parent: string | null, top: string | null, effective: number | null][] = [
  ['max\n', null, null, null],
  ['max\n', 'max\n', null, null],
  ['500\n', 'max\n', null, 500],
  ['500\n', '400\n', '600\n', 400],
  ['max\n', '400\n', '300\n', 300],
  ['0\n', '400\n', null, 0],
]

for (const [own, parent, top, effective] of limits) {
  test(`limits ${[own, parent, top].map((text) => text?.trim() ?? 'none').join(' below ')} come to ${effective}`, (t) => {
    const files = { ...memoryFiles, 'memory.max': own, '../memory.max': parent, '../../memory.max': top }
    t.is(memoryV2(filesOf(files), 2)?.limitBytes, effective)
  })
}

test('a parent that is not mounted here is not asked', (t) => {
  t.is(memoryV2(filesOf({ ...memoryFiles, '../memory.max': '1\n' }), 0)?.limitBytes, null)
})

test('no memory controller is no memory', (t) => {
  t.is(memoryV2(filesOf({}), 3), null)
})

test('memory files that are cut or hold garbage are an error that names the file', (t) => {
  const cut = { ...memoryFiles, 'memory.stat': 'anon 700\ninact' }
  t.throws(() => memoryV2(filesOf(cut), 0), { message: 'memory.stat has no line inactive_file' })
  const garbage = { ...memoryFiles, 'memory.max': 'maximum\n' }
  t.throws(() => memoryV2(filesOf(garbage), 0), {
    message: String.raw`memory.max holds "maximum\n" in place of a number`,
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

test('a quota that is no number is an error', (t) => {
  for (const max of ['', '50000', 'x 100000', '50000 x']) {
    t.throws(() => cpuV2(filesOf({ 'cpu.stat': 'usage_usec 1\n', 'cpu.max': max })), {
      message: /^cpu.max holds/,
    })
  }
})

test('processes have a limit, or max for none, or no controller at all', (t) => {
  t.deepEqual(pidsOfCgroup(filesOf({ 'pids.current': '5\n', 'pids.max': '50\n' })), { current: 5, limit: 50 })
  t.deepEqual(pidsOfCgroup(filesOf({ 'pids.current': '5\n', 'pids.max': 'max\n' })), {
    current: 5,
    limit: null,
  })
  t.is(pidsOfCgroup(filesOf({})), null)
})
