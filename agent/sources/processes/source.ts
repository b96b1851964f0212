/**
 * Observes the processes of the host and attributes them to containers, in the best mode that this kernel supports.
 *
 * Reading order:
 * - `table/`: `known-process.ts` and `table.ts` (the process table), `procfs-process.ts` (reading /proc), `describe.ts`
 *   (a process as observations contain it).
 * - `attribution/`: `cgroup.ts`, `root-device.ts` and `membership.ts` (which container a process belongs to),
 *   `session-attribution.ts` and `entry-ancestry.ts` (how it entered), `host-files.ts` (whether it escaped).
 * - `tracker.ts` (from mode events to the table), `observer.ts` with `enrichment.ts`, `post-exec-recheck.ts`,
 *   `publication-queue.ts` and `container-wait-queue.ts` (from the table to observations), `killed.ts`, `oom-victim.ts`
 *   and `fork-burst.ts`.
 * - `credentials/`: `credential-tracker.ts` with `privilege-gain.ts`, `exec-file.ts` and `executable-origin.ts` (root
 *   and capabilities, and the file that granted them).
 * - `modes/`, the simplest first: `procfs.ts` with `scan.ts` (polls /proc), `connector.ts` with `credential-events.ts`
 *   (gets pids from the kernel, then reads /proc), `ebpf/mode.ts` (gets all details from the kernel). `self-test.ts`
 *   verifies each mode, and `choice.ts` selects the best one that passes.
 */
import { defer } from 'rxjs'
import { bootClock, type BootClock } from '../../linux/boot-clock.ts'
import type { ContainerLookup } from '../../model/container.ts'
import type { Namespaces } from '../../model/observation.ts'
import type { Pulse, Source } from '../../model/source.ts'
import type { ApiWatch } from './api-requests.ts'
import { bestMode } from './modes/choice.ts'
import { connector } from './modes/connector.ts'
import { ebpf } from './modes/ebpf/mode.ts'
import { type ModeName, nextPulseWithinMs } from './modes/mode.ts'
import { readNamespaces } from './table/procfs-process.ts'
import { procfs } from './modes/procfs.ts'
import { processTable, type ProcessTable, type WritableProcessTable } from './table/table.ts'
import { uidMaps } from '../../linux/uid-map.ts'
import type { ExecOfSession } from '../../model/exec-view.ts'

export type ProcessesOptions = {
  mode: 'auto' | ModeName
  containers: ContainerLookup
  /** Epoch milliseconds. */
  now: () => number
  procRoot?: string
  /** How often the mode `procfs` scans /proc. */
  intervalMs?: number
  /** How often the active mode repeats its self-test. */
  selfTestMs?: number
  /** Events per container and second; events above this are counted and dropped. */
  budget?: number
  /** Size of the ring buffer in the mode `ebpf`. 4 MiB hold some 10,000 execs. */
  ringBytes?: number
  /** Paths that the engine's socket may be bound to: requests written to it are observed if the kernel supports it. */
  apiSockets?: readonly string[]
  /** Called with the id of a container whose process count grows quickly, before the count is measured. */
  onForkBurst?: (containerId: string) => void
  /** Finds the exec that a process found in /proc belongs to. */
  execOfSession?: ExecOfSession
  clock?: BootClock
  /** The table to fill: created by the caller if others need it before the source. */
  table?: WritableProcessTable
  pulse?: Pulse
}

export type ProcessSource = Source & {
  /** For process lookups by other components. */
  table: ProcessTable
  /** Null while requests to the Docker API are not observed. */
  apiWatch(): ApiWatch | null
  /**
   * Updates the table with everything the kernel has reported so far, so that a process just seen by another source is
   * known; false in a mode in which the kernel does not report every process.
   */
  catchUp(): boolean
}

/** The source of process observations. */
export function processes(options: ProcessesOptions): ProcessSource {
  const { procRoot = '/proc', clock = bootClock(), table = processTable({ clock }) } = options
  const { selfTestMs = 60_000, budget = 20_000, ringBytes = 4 << 20 } = options
  const { pulse = () => undefined } = options
  const { containers, now, onForkBurst = () => undefined } = options
  const { apiSockets = ['/var/run/docker.sock', '/run/docker.sock'] } = options
  const bootTime = clock.epochOffset()
  let apiWatch: ApiWatch | null = null
  let drain: (() => void) | null = null
  function catchUp(): boolean {
    drain?.()
    return drain !== null
  }

  const observe = () =>
    defer(() => {
      // Read on each subscription, because a reload may change them.
      const { mode, intervalMs = 1_000 } = options
      const hostNamespaces = readHostNamespaces(procRoot)
      // Attaching counts as one interval.
      pulse(nextPulseWithinMs)
      return bestMode(mode, modes, {
        procRoot,
        containers,
        table,
        uidMaps: uidMaps(procRoot, hostNamespaces.user),
        hostNamespaces,
        clock,
        bootTime,
        now,
        intervalMs,
        selfTestMs,
        budget,
        ringBytes,
        apiSockets,
        execOfSession: options.execOfSession,
        onForkBurst,
        onApiWatch: (watch) => (apiWatch = watch),
        onCatchUp: (read) => (drain = read),
        pulse,
      })
    })
  return { name: 'processes', table, apiWatch: () => apiWatch, catchUp, observe }
}

const modes = { ebpf, connector, procfs }

/** The namespaces of the host's first process; our own where it may not be read. */
function readHostNamespaces(procRoot: string): Namespaces {
  const first = readNamespaces(`${procRoot}/1`)
  return first.mount === 0 ? readNamespaces(`${procRoot}/self`) : first
}
