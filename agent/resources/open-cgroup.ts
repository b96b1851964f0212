import type { Places } from './cgroup-places.ts'
import { blockIoV1, cpuV1, memoryV1 } from './cgroup-v1.ts'
import { blockIoV2, cpuV2, memoryV2, oomKillsV2, pidsOfCgroup, refusedForks } from './cgroup-v2.ts'
import { keptFiles } from './kept-files.ts'
import type { LimitsAbove, ParentLimits } from './parent-limits.ts'
import { pressureOfCgroup } from './pressure.ts'
import { leastLimit, type ReadText, type Usage } from './usage.ts'

/** The cgroup of one container, its files open. */
export type OpenCgroup = {
  /**
   * `missing` names the controllers that this kernel lacks; their part of the usage is empty. Limits are read every
   * fifth time and when they are said to have changed: they are a quarter of all files and nearly always the same.
   */
  read(limitsChanged: boolean): { usage: Usage; missing: readonly string[] }
  /** Whether a counter that the kernel announces has moved since all was read, for a tenth of the cost of reading all. */
  hasMoved(): boolean
  fileCount(): number
  close(): void
}

/** Opens each file when it is first read, in the layout of whichever version its controller has. */
export function openCgroup(places: Places, parents: ParentLimits): OpenCgroup {
  const files = keptFiles()
  const limits = new Map<string, string | null>()
  let above: LimitsAbove = { memoryBytes: null, cores: null, pids: null }
  let readings = 0

  function within(directory: string | null | undefined): ReadText {
    if (directory == null) return () => null
    const read = files.within(directory)
    return (name) => {
      if (!isLimit(name)) return read(name)
      const text = limits.has(name) ? (limits.get(name) ?? null) : read(name)
      limits.set(name, text)
      return text
    }
  }

  const inMemory = within(places.memory?.directory)
  const inCpu = within(places.cpu?.directory)
  const inCpuacct = within(places.cpuacct?.directory)
  const inPids = within(places.pids?.directory)
  const inIo = within(places.io?.directory)
  const inUnified = within(places.unified)
  let last: Usage | null = null

  return {
    read(limitsChanged) {
      if (limitsChanged || readings % limitsEvery === 0) {
        limits.clear()
        above = parents.above(places)
      }
      readings++
      const { memory: ofMemory, cpu: ofCpu, io: ofIo } = places
      const memory = ofMemory?.version === 2 ? memoryV2(inMemory) : memoryV1(inMemory)
      const cpu = ofCpu?.version === 2 ? cpuV2(inCpu) : cpuV1(inCpu, inCpuacct)
      const pids = pidsOfCgroup(inPids)
      last = {
        memory:
          memory === null
            ? noMemory
            : { ...memory, limitBytes: leastLimit([memory.limitBytes, above.memoryBytes]) },
        cpu: { ...cpu, quotaCores: leastLimit([cpu.quotaCores, above.cores]) },
        pids: pids === null ? noPids : { ...pids, limit: leastLimit([pids.limit, above.pids]) },
        pressure: pressureOfCgroup(inUnified),
        blockIo: ofIo?.version === 2 ? blockIoV2(inIo) : blockIoV1(inIo),
      }
      const missing = Object.entries({ memory, cpu: ofCpu, pids }).filter(([, part]) => part === null)
      return { usage: last, missing: missing.map(([controller]) => controller) }
    },
    hasMoved() {
      if (last === null || refusedForks(inPids) !== last.pids.refusedForks) return true
      return places.memory?.version === 2 && oomKillsV2(inMemory) !== last.memory.oomKills
    },
    fileCount: files.count,
    close: files.close,
  }
}

const limitsEvery = 5

/** No two controllers have a limit of the same name. */
function isLimit(name: string): boolean {
  return name.endsWith('.max') || name.startsWith('cpu.cfs_')
}

// Without the controller nothing is counted and nothing can be limited.
const noMemory: Usage['memory'] = { workingSetBytes: 0, limitBytes: null, swapBytes: null, oomKills: null }
const noPids: Usage['pids'] = { current: 0, limit: null, refusedForks: null }
