import {
  field,
  finiteLimit,
  type ReadText,
  requiredField,
  sumOfMatches,
  type Usage,
  wholeNumber,
} from './usage.ts'

/** Memory of a cgroup of version 1 (Documentation/admin-guide/cgroup-v1/memory.rst); null without the controller. */
export function memoryV1(read: ReadText): Usage['memory'] | null {
  const usage = read('memory.usage_in_bytes')
  if (usage === null) return null
  const stat = read('memory.stat')
  const evictable = requiredField('memory.stat', stat, 'total_inactive_file')
  const kills = read('memory.oom_control')
  return {
    workingSetBytes: Math.max(0, wholeNumber('memory.usage_in_bytes', usage) - evictable),
    // The kernel's own minimum over the cgroup and its parents.
    limitBytes: finiteLimit(requiredField('memory.stat', stat, 'hierarchical_memory_limit')),
    swapBytes: stat === null ? null : field(stat, 'total_swap'),
    oomKills: kills === null ? null : field(kills, 'oom_kill'),
  }
}

/**
 * CPU of version 1, whose two controllers may be mounted separately; times are nanoseconds (scheduler/sched-bwc.rst).
 */
export function cpuV1(readCpu: ReadText, readCpuacct: ReadText): Usage['cpu'] {
  const usage = readCpuacct('cpuacct.usage')
  const stat = readCpu('cpu.stat')
  return {
    usageSeconds: usage === null ? 0 : wholeNumber('cpuacct.usage', usage) / 1e9,
    ...(stat === null ? unthrottled : throttling(stat)),
    quotaCores: quotaV1(readCpu('cpu.cfs_quota_us'), readCpu('cpu.cfs_period_us')),
  }
}

// A kernel without CONFIG_CFS_BANDWIDTH cannot throttle and has neither these lines nor the quota files.
const unthrottled = { periods: 0, throttledPeriods: 0, throttledSeconds: 0 }

function throttling(stat: string): typeof unthrottled {
  return {
    periods: requiredField('cpu.stat', stat, 'nr_periods'),
    throttledPeriods: requiredField('cpu.stat', stat, 'nr_throttled'),
    throttledSeconds: requiredField('cpu.stat', stat, 'throttled_time') / 1e9,
  }
}

/** Cores, where the quota is -1 without a limit. */
export function quotaV1(quota: string | null, period: string | null): number | null {
  if (quota === null || period === null || quota.trim() === '-1') return null
  const cores = wholeNumber('cpu.cfs_quota_us', quota) / wholeNumber('cpu.cfs_period_us', period)
  return Number.isFinite(cores) ? cores : null
}

/**
 * Block IO of version 1: lines `8:0 Read 4096` for each device (blkio-controller.rst). Null without the controller
 * and without such lines: since Linux 6.10 nothing is counted before a device has a throttling rule.
 */
export function blockIoV1(read: ReadText): Usage['blockIo'] {
  const bytes = read('blkio.throttle.io_service_bytes_recursive') ?? read('blkio.throttle.io_service_bytes')
  if (bytes === null || !bytes.includes(':')) return null
  return { readBytes: sumOfMatches(bytes, readOfDevice), writtenBytes: sumOfMatches(bytes, writtenToDevice) }
}

const readOfDevice = /^\d+:\d+ Read (\d{1,20})$/gm
const writtenToDevice = /^\d+:\d+ Write (\d{1,20})$/gm
