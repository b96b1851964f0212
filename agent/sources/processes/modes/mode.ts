import type { Observable } from 'rxjs'
import type { BootClock } from '../../../linux/boot-clock.ts'
import type { ContainerLookup } from '../../../model/container.ts'
import type { Namespaces, Observation } from '../../../model/observation.ts'
import type { Pulse } from '../../../model/source.ts'
import type { ApiWatch } from '../api-requests.ts'
import type { WritableProcessTable } from '../table/table.ts'
import type { UidMaps } from '../../../linux/uid-map.ts'
import type { ExecOfSession } from '../../../model/exec-view.ts'

/** Ways to see processes, the best first. */
export const modeNames = ['ebpf', 'connector', 'procfs'] as const
export type ModeName = (typeof modeNames)[number]

/** A mode that has proven itself; `lacking` is what it cannot see here and should, or empty. */
export type Attached = { kind: 'attached'; lacking: string }

/** One way to see processes. It fails when it cannot be had, does not prove itself, or breaks later. */
export type Mode = (surroundings: Surroundings) => Observable<Observation | Attached>

/** What every mode works with. */
export type Surroundings = {
  procRoot: string
  containers: ContainerLookup
  table: WritableProcessTable
  uidMaps: UidMaps
  hostNamespaces: Namespaces
  clock: BootClock
  /** Epoch milliseconds of the boot, the same for the life of the daemon. */
  bootTime: number
  /** Epoch milliseconds. */
  now: () => number
  /** How often /proc is looked through where there is nothing better. */
  intervalMs: number
  /** How often a mode proves again that it still sees. */
  proveMs: number
  /** Events of one container in a second; what goes beyond is counted and dropped in the kernel. */
  budget: number
  /** Of the ring that the kernel fills while we do other things; a power of two. */
  ringBytes: number
  /** To be told, by its id, of a container whose processes become more. */
  onGrowth: (containerId: string) => void
  /** Which exec a process that is found belongs to. */
  execOfSession?: ExecOfSession | undefined
  /** Paths that the engine's socket may be bound to. */
  apiSockets: readonly string[]
  /** To be told when requests to the engine begin to be seen, and, by null, that they are not any more. */
  onApiWatch: (watch: ApiWatch | null) => void
  /** To be given a way to take in at once what the kernel has told already, and null when there is none any more. */
  onCatchUp?: (catchUp: (() => void) | null) => void
  /** To be told at every turn. */
  pulse: Pulse
}

/** Between two turns lie a second, at times a look through all of /proc and a proof; milliseconds. */
export const nextTurnWithinMs = 120_000
