import type { Observable } from 'rxjs'
import type { BootClock } from '../../../linux/boot-clock.ts'
import type { ContainerLookup } from '../../../model/container.ts'
import type { Namespaces, Observation } from '../../../model/observation.ts'
import type { Pulse } from '../../../model/source.ts'
import type { ApiWatch } from '../api-requests.ts'
import type { WritableProcessTable } from '../table/table.ts'
import type { UidMaps } from '../../../linux/uid-map.ts'
import type { ExecOfSession } from '../../../model/exec-view.ts'

/** The modes of observing processes, best first. */
export const modeNames = ['ebpf', 'connector', 'procfs'] as const
export type ModeName = (typeof modeNames)[number]

/**
 * Emitted when a mode has passed its self-test; `lacking` says what it should see but cannot on this host, or is
 * empty.
 */
export type Attached = { kind: 'attached'; lacking: string }

/** A mode fails if this host does not support it, if its self-test fails, or when it breaks later. */
export type Mode = (context: ModeContext) => Observable<Observation | Attached>

/** The dependencies and settings of every mode. */
export type ModeContext = {
  procRoot: string
  containers: ContainerLookup
  table: WritableProcessTable
  uidMaps: UidMaps
  hostNamespaces: Namespaces
  clock: BootClock
  /** Epoch milliseconds of the boot; constant while the daemon runs. */
  bootTime: number
  /** Epoch milliseconds. */
  now: () => number
  /** How often the mode `procfs` scans /proc. */
  intervalMs: number
  /** How often a mode repeats its self-test. */
  selfTestMs: number
  /** Events per container and second; the kernel programs count and drop events above this. */
  budget: number
  /** Size of the ring buffer, which the kernel fills while the daemon is busy; a power of two. */
  ringBytes: number
  /** Called with the id of a container whose process count grows quickly. */
  onForkBurst: (containerId: string) => void
  /** Finds the exec that a process found in /proc belongs to. */
  execOfSession?: ExecOfSession | undefined
  /** Paths that the engine's socket may be bound to. */
  apiSockets: readonly string[]
  /** Called when requests to the engine become visible, and with null when they no longer are. */
  onApiWatch: (watch: ApiWatch | null) => void
  /**
   * Receives a function that reads everything the kernel has reported so far, and null when it is no longer
   * available.
   */
  onCatchUp?: (catchUp: (() => void) | null) => void
  /** Called on each iteration. */
  pulse: Pulse
}

/** Milliseconds: an iteration takes a second, and sometimes a full scan of /proc and a self-test. */
export const nextPulseWithinMs = 120_000
