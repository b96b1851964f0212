/**
 * Processes of the host and of which container they are, seen in the best way that this kernel offers.
 *
 * To be read in this order: `known-process.ts` and `table.ts` (what is kept of a process, and for how long),
 * `cgroup.ts`, `root-device.ts` and `membership.ts` (which container it belongs to), `left-behind.ts`, `entering.ts`, `host-files.ts` and `second-look.ts`
 * (who brought it in, and whether it got out), `describe.ts` (how it got in, and what it is for others), `tracker.ts`
 * (from what a mode tells to the table), `rights.ts` with `gain.ts`, `exec-file.ts` and `provenance.ts` (root and
 * capabilities, and the file that gave them), `teller.ts` with `held.ts` and `killed.ts` (to observations),
 * `oom-victim.ts` (which processes the kernel OOM-kills), `growth.ts`
 * (where they multiply). Then the modes, the simplest first: `procfs.ts` with `proc.ts` and `scan.ts` (look, again and again), `connector.ts` with
 * `ids-without-exec.ts` (be told of a pid, then look), `ebpf/mode.ts` (be told all of it). `proof.ts` makes each
 * mode prove itself, and `choice.ts` takes the best that does.
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
import { type ModeName, nextTurnWithinMs } from './modes/mode.ts'
import { readNamespaces } from './table/procfs-process.ts'
import { procfs } from './modes/procfs.ts'
import { processTable, type ProcessTable } from './table/table.ts'
import { uidMaps } from '../../linux/uid-map.ts'
import type { ExecOfSession } from '../../model/exec-view.ts'

export type ProcessesOptions = {
  mode: 'auto' | ModeName
  containers: ContainerLookup
  /** Epoch milliseconds. */
  now: () => number
  procRoot?: string
  /** How often /proc is looked through in the mode `procfs`. */
  intervalMs?: number
  /** How often the mode in use proves again that it still sees. */
  proveMs?: number
  /** Events of one container in a second, beyond which they are counted and dropped. */
  budget?: number
  /** Of the ring that the kernel fills in the mode `ebpf`. 4 MiB hold some 10,000 execs. */
  ringBytes?: number
  /** Paths that the engine's socket may be bound to: requests written to it are observed, where the kernel can tell. */
  apiSockets?: readonly string[]
  /** To be told, by its id, of a container whose processes become more, before anybody has counted them. */
  onGrowth?: (containerId: string) => void
  /** Which exec a process that is found belongs to. */
  execOfSession?: ExecOfSession
  clock?: BootClock
  pulse?: Pulse
}

export type ProcessSource = Source & {
  /** Processes that others may ask for. */
  table: ProcessTable
  /** Null while requests to the Docker API are not seen. */
  apiWatch(): ApiWatch | null
  /**
   * Takes into the table what the kernel has told already, so that who was seen elsewhere a moment ago is known; false in
   * a mode in which it does not tell of every process.
   */
  catchUp(): boolean
}

/** The source of what processes do. */
export function processes(options: ProcessesOptions): ProcessSource {
  const { procRoot = '/proc', clock = bootClock() } = options
  const { proveMs = 60_000, budget = 20_000, ringBytes = 4 << 20 } = options
  const { pulse = () => undefined } = options
  const { containers, now, onGrowth = () => undefined } = options
  const { apiSockets = ['/var/run/docker.sock', '/run/docker.sock'] } = options
  const bootTime = clock.epochOffset()
  const table = processTable({ clock })
  let apiWatch: ApiWatch | null = null
  let takeIn: (() => void) | null = null
  function catchUp(): boolean {
    takeIn?.()
    return takeIn !== null
  }

  const observe = () =>
    defer(() => {
      // Read each time, because a reload may change them.
      const { mode, intervalMs = 1_000 } = options
      const hostNamespaces = readHostNamespaces(procRoot)
      // Attaching is a turn of its own.
      pulse(nextTurnWithinMs)
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
        proveMs,
        budget,
        ringBytes,
        apiSockets,
        execOfSession: options.execOfSession,
        onGrowth,
        onApiWatch: (watch) => (apiWatch = watch),
        onCatchUp: (how) => (takeIn = how),
        pulse,
      })
    })
  return { name: 'processes', table, apiWatch: () => apiWatch, catchUp, observe }
}

const modes = { ebpf, connector, procfs }

/** Those of the host's first process; our own where it may not be asked. */
function readHostNamespaces(procRoot: string): Namespaces {
  const first = readNamespaces(`${procRoot}/1`)
  return first.mount === 0 ? readNamespaces(`${procRoot}/self`) : first
}
