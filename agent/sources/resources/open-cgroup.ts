import type { Places } from './cgroup-places.ts'
import { blockIoV1, cpuV1, memoryV1 } from './cgroup-v1.ts'
import { blockIoV2, cpuV2, memoryV2, oomKillsV2, pidsOfCgroup, refusedForks } from './cgroup-v2.ts'
import { keptFiles } from './open-file-cache.ts'
import type { LimitsAbove, ParentLimits } from './parent-limits.ts'
import { stall } from './pressure.ts'
import { leastLimit, type ReadText, type Usage } from './usage.ts'

/** The cgroup of one container, its files open. */
export type OpenCgroup = {
  /** `missing` names the controllers that this kernel lacks; their part of the usage is empty. */
  read(known: Known): { usage: Usage; missing: readonly string[] }
  /** Whether a counter that the kernel announces has moved since all was read, for a tenth of the cost of reading all. */
  hasMoved(): boolean
  fileCount(): number
  close(): void
}

/** What is known before a reading, so that not all has to be read: each file costs a tenth of the whole. */
export type Known = {
  /** Limits are read every fifth time otherwise: they are a quarter of all files and nearly always the same. */
  limitsChanged: boolean
  /** The kernel will say when forks are refused, so that their counter is read with the limits. */
  announced: boolean
}

export type OpenCgroupOptions = {
  parents: ParentLimits
  /** How often what is shown and never judged is read: at every reading, every second, … */
  shownEvery: number
}

/** Opens each file when it is first read, in the layout of whichever version its controller has. */
export function openCgroup(places: Places, { parents, shownEvery }: OpenCgroupOptions): OpenCgroup {
  const files = keptFiles()
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

  const inMemory = within(places.memory?.directory)
  const inCpu = within(places.cpu?.directory)
  const inCpuacct = within(places.cpuacct?.directory)
  const inPids = within(places.pids?.directory)
  const inIo = within(places.io?.directory)
  const inUnified = within(places.unified)
  const blockIo = () => (places.io?.version === 2 ? blockIoV2(inIo) : blockIoV1(inIo))
  let last: Usage | null = null

  return {
    read({ limitsChanged, announced }) {
      if (limitsChanged || readings % steadyEvery === 0) {
        steady.clear()
        above = parents.above(places)
      }
      // Not at the second reading either: the notices begin after the first.
      if (!announced || readings === 1) steady.delete(counterOfForks)
      const shown = readings % shownEvery === 0 ? null : last
      readings++
      const { memory: ofMemory, cpu: ofCpu } = places
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
        pressure: {
          cpu: shown === null ? stall(inUnified, 'cpu') : shown.pressure.cpu,
          memory: stall(inUnified, 'memory'),
          io: shown === null ? stall(inUnified, 'io') : shown.pressure.io,
        },
        blockIo: shown === null ? blockIo() : shown.blockIo,
      }
      const isWhole = memory !== null && ofCpu !== null && pids !== null
      return { usage: last, missing: isWhole ? [] : missingOf({ memory, cpu: ofCpu, pids }) }
    },
    hasMoved() {
      steady.delete(counterOfForks)
      if (last === null || refusedForks(inPids) !== last.pids.refusedForks) return true
      return places.memory?.version === 2 && oomKillsV2(inMemory) !== last.memory.oomKills
    },
    fileCount: files.count,
    close: files.close,
  }
}

const steadyEvery = 5
const counterOfForks = 'pids.events'

/** No two controllers have a limit of the same name. */
function isSteady(name: string): boolean {
  return name === counterOfForks || name.endsWith('.max') || name.startsWith('cpu.cfs_')
}

function missingOf(parts: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(parts).filter((controller) => parts[controller] === null)
}

// Without the controller nothing is counted and nothing can be limited.
const noMemory: Usage['memory'] = { workingSetBytes: 0, limitBytes: null, swapBytes: null, oomKills: null }
const noPids: Usage['pids'] = { current: 0, limit: null, refusedForks: null }
