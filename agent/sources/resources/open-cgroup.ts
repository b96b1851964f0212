import type { CgroupDirectories } from './cgroup-directories.ts'
import { blockIoV1, cpuV1, memoryV1 } from './cgroup-v1.ts'
import { blockIoV2, cpuV2, memoryV2, oomKillsV2, pidsOfCgroup, refusedForks } from './cgroup-v2.ts'
import { openFileCache } from './open-file-cache.ts'
import type { LimitsAbove, ParentLimits } from './parent-limits.ts'
import { stall } from './pressure.ts'
import { lowestLimit, type ReadText, type Usage } from './usage.ts'

/** The cgroup of one container, its files open. */
export type OpenCgroup = {
  /** `missing` names the controllers that this kernel lacks; their part of the usage is empty. */
  read(hints: ReadHints): { usage: Usage; missing: readonly string[] }
  /**
   * Whether a counter that the kernel announces has changed since the last full reading, at a tenth of the cost of
   * one.
   */
  hasChanged(): boolean
  fileCount(): number
  close(): void
}

/** What is known before a reading, so that not every file has to be read: each costs a tenth of the whole. */
export type ReadHints = {
  /** Otherwise limits are read every fifth time: they are a quarter of all files and nearly always the same. */
  limitsChanged: boolean
  /** The kernel announces refused forks, so that their counter is read only as often as the limits. */
  announced: boolean
}

export type OpenCgroupOptions = {
  parents: ParentLimits
  /** How often values that are exported but not evaluated are read: 1 for every reading, 2 for every second one, … */
  exportOnlyEvery: number
}

/** Opens each file when it is first read, in the format of its controller's cgroup version. */
export function openCgroup(
  directories: CgroupDirectories,
  { parents, exportOnlyEvery }: OpenCgroupOptions,
): OpenCgroup {
  const files = openFileCache()
  const steady = new Map<string, string | null>()
  let above: LimitsAbove = { memoryBytes: null, cores: null, pids: null }
  let readings = 0

  function within(directory: string | null | undefined): ReadText {
    if (directory == null) return () => null
    const read = files.within(directory)
    return (name) => {
      if (!isSteady(name)) return read(name)
      const known = steady.get(name)
      if (known !== undefined) return known
      const text = read(name)
      steady.set(name, text)
      return text
    }
  }

  const inMemory = within(directories.memory?.directory)
  const inCpu = within(directories.cpu?.directory)
  const inCpuacct = within(directories.cpuacct?.directory)
  const inPids = within(directories.pids?.directory)
  const inIo = within(directories.io?.directory)
  const inUnified = within(directories.unified)
  const blockIo = () => (directories.io?.version === 2 ? blockIoV2(inIo) : blockIoV1(inIo))
  let last: Usage | null = null

  return {
    read({ limitsChanged, announced }) {
      if (limitsChanged || readings % STEADY_EVERY === 0) {
        steady.clear()
        above = parents.above(directories)
      }
      // Not at the second reading either: notifications start after the first.
      if (!announced || readings === 1) steady.delete(forkCounter)
      const reused = readings % exportOnlyEvery === 0 ? null : last
      readings++
      const { memory: ofMemory, cpu: ofCpu } = directories
      const memory = ofMemory?.version === 2 ? memoryV2(inMemory) : memoryV1(inMemory)
      const cpu = ofCpu?.version === 2 ? cpuV2(inCpu) : cpuV1(inCpu, inCpuacct)
      const pids = pidsOfCgroup(inPids)
      last = {
        memory:
          memory === null
            ? noMemory
            : { ...memory, limitBytes: lowestLimit([memory.limitBytes, above.memoryBytes]) },
        cpu: { ...cpu, quotaCores: lowestLimit([cpu.quotaCores, above.cores]) },
        pids: pids === null ? noPids : { ...pids, limit: lowestLimit([pids.limit, above.pids]) },
        pressure: {
          cpu: reused === null ? stall(inUnified, 'cpu') : reused.pressure.cpu,
          memory: stall(inUnified, 'memory'),
          io: reused === null ? stall(inUnified, 'io') : reused.pressure.io,
        },
        blockIo: reused === null ? blockIo() : reused.blockIo,
      }
      const isComplete = memory !== null && ofCpu !== null && pids !== null
      return { usage: last, missing: isComplete ? [] : missingOf({ memory, cpu: ofCpu, pids }) }
    },
    hasChanged() {
      steady.delete(forkCounter)
      if (last === null || refusedForks(inPids) !== last.pids.refusedForks) return true
      return directories.memory?.version === 2 && oomKillsV2(inMemory) !== last.memory.oomKills
    },
    fileCount: files.count,
    close: files.close,
  }
}

const STEADY_EVERY = 5
const forkCounter = 'pids.events'

/** Limits of different controllers never have the same name. */
function isSteady(name: string): boolean {
  return name === forkCounter || name.endsWith('.max') || name.startsWith('cpu.cfs_')
}

function missingOf(readings: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(readings).filter((controller) => readings[controller] === null)
}

// Without the controller nothing is counted and nothing can be limited.
const noMemory: Usage['memory'] = { workingSetBytes: 0, limitBytes: null, swapBytes: null, oomKills: null }
const noPids: Usage['pids'] = { current: 0, limit: null, refusedForks: null }
