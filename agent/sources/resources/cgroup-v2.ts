import {
  field,
  limitOf,
  type ReadText,
  requiredField,
  sumOfMatches,
  type Usage,
  wholeNumber,
} from './usage.ts'

/** Memory of a cgroup of version 2 (Documentation/admin-guide/cgroup-v2.rst), its own limit; null without the controller. */
export function memoryV2(read: ReadText): Usage['memory'] | null {
  const current = read('memory.current')
  if (current === null) return null
  const evictable = requiredField('memory.stat', read('memory.stat'), 'inactive_file')
  const swap = read('memory.swap.current')
  const max = read('memory.max')
  return {
    workingSetBytes: Math.max(0, wholeNumber('memory.current', current) - evictable),
    limitBytes: max === null ? null : limitOf('memory.max', max),
    swapBytes: swap === null ? null : wholeNumber('memory.swap.current', swap),
    oomKills: oomKillsV2(read),
  }
}

/** CPU of version 2; times are microseconds, and the throttling lines exist only with the cpu controller. */
export function cpuV2(read: ReadText): Usage['cpu'] {
  const stat = read('cpu.stat') ?? ''
  return {
    usageSeconds: requiredField('cpu.stat', stat, 'usage_usec') / 1e6,
    quotaCores: quotaV2(read('cpu.max')),
    periods: field(stat, 'nr_periods') ?? 0,
    throttledPeriods: field(stat, 'nr_throttled') ?? 0,
    throttledSeconds: (field(stat, 'throttled_usec') ?? 0) / 1e6,
  }
}

/** Cores from `<quota> <period>`, where the quota is `max` without a limit. */
export function quotaV2(text: string | null): number | null {
  if (text === null || text.startsWith('max ')) return null
  const [quota = '', period = ''] = text.trim().split(' ')
  const cores = wholeNumber('cpu.max', quota) / wholeNumber('cpu.max', period)
  return Number.isFinite(cores) ? cores : null
}

/** Processes and threads, from the same files in both versions; null without the controller. */
export function pidsOfCgroup(read: ReadText): Usage['pids'] | null {
  const current = read('pids.current')
  if (current === null) return null
  const max = read('pids.max')
  return {
    current: wholeNumber('pids.current', current),
    limit: max === null ? null : limitOf('pids.max', max),
    refusedForks: refusedForks(read),
  }
}

/** OOM-killed processes, from a counter whose changes the kernel announces. */
export function oomKillsV2(read: ReadText): number | null {
  const events = read('memory.events')
  return events === null ? null : field(events, 'oom_kill')
}

/** Forks refused because of a limit, in both versions; the root of a hierarchy and kernels before 4.11 do not count them. */
export function refusedForks(read: ReadText): number | null {
  const events = read('pids.events')
  return events === null ? null : field(events, 'max')
}

/** Block IO of version 2: a line `8:0 rbytes=4096 wbytes=0 …` for each device; null without the controller. */
export function blockIoV2(read: ReadText): Usage['blockIo'] {
  const stat = read('io.stat')
  if (stat === null) return null
  return { readBytes: sumOfMatches(stat, readOfDevice), writtenBytes: sumOfMatches(stat, writtenToDevice) }
}

const readOfDevice = /\brbytes=(\d{1,20})\b/g
const writtenToDevice = /\bwbytes=(\d{1,20})\b/g
