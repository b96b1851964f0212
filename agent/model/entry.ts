import type { EnteringProcess, ProcessObservation, EnteredOrigin } from './observation.ts'
import { appletOf } from './multi-call.ts'
import { baseName } from '../lib/text.ts'

/** A process that entered its container from outside. */
export type Entered = ProcessObservation & { origin: EnteredOrigin }

/**
 * Whether a process is the first of its line in a container, and it is known which process brought it there. That is
 * not known of orphans, of processes that were there before, and of those whose ancestors were lost: the shim or the
 * host's init has adopted them. Containers unknown to the engine have execs unknown to it.
 */
export function isEntry(seen: ProcessObservation): seen is Entered {
  const { container, origin, process } = seen
  if (origin.via === 'init' || container.details === null) return false
  if (origin.entry.pid !== process.pid || origin.entry.startTicks !== process.startTicks) return false
  const [nearest] = origin.by
  return nearest !== undefined && nearest.pid !== 1 && !isMonitor(nearest) && !isContainerStart(origin.by)
}

/** Identifies an entry permanently, from any of its processes. */
export function entryKey({ container, origin: { entry } }: Pick<Entered, 'container' | 'origin'>): string {
  return `${container.id}:${entry.pid}:${entry.startTicks}`
}

/** The parent of a container's init, which adopts the orphans of an exec. */
export function isMonitor(process: EnteringProcess): boolean {
  return /^(?:containerd-shim.*|conmon)$/.test(programOf(process))
}

/** Hooks of the OCI runtime and its own steps: brought in by whatever creates or starts the container. */
function isContainerStart(by: readonly EnteringProcess[]): boolean {
  if (by[0]?.containerId !== null) return false
  const runtime = by.find((one) => isRuntime(one) && !isRuntimeInit(one))
  const verb = runtime?.argv.find((argument) => verbs.has(argument)) ?? ''
  return verbs.get(verb) === 'starts'
}

// Arguments after the verb belong to the container's command and may contain the same words.
const verbs: ReadonlyMap<string, 'starts' | 'joins'> = new Map([
  ['create', 'starts'],
  ['start', 'starts'],
  ['run', 'starts'],
  ['restore', 'starts'],
  ['exec', 'joins'],
])

// runc and its wrappers (docker-runc, nvidia-container-runtime), and the other runtimes that Docker documents.
function isRuntime({ argv }: EnteringProcess): boolean {
  return /^(?:(?:.*-)?runc|crun|youki|runsc|.*-container-runtime)$/.test(baseName(argv[0] ?? ''))
}

/** The runtime's own last step before it executes the requested program. */
export function isRuntimeInit(one: EnteringProcess): boolean {
  return isRuntime(one) && one.argv[1] === 'init'
}

/** The program name of an entering process. */
export function programOf({ exe, argv }: EnteringProcess): string {
  // The runtime runs an unnamed copy of itself.
  const name = appletOf({ exe, argv }) || baseName(exe.replace(/ \(deleted\)$/, ''))
  return name === '' ? baseName(argv[0] ?? '') : name
}
