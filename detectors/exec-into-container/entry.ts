import type { EnteringProcess, ProcessObservation, EnteredOrigin } from '../../agent/model/observation.ts'
import { appletOf } from '../../agent/model/multi-call.ts'
import { baseName } from '../../agent/lib/text.ts'

/** A process that came into its container from outside. */
export type Entered = ProcessObservation & { origin: EnteredOrigin }

/**
 * Whether a process is the first of its line in a container, and somebody is known who brought it there. Nobody is
 * known of an orphan, of what was there before, and of one whose ancestors were lost: they are adopted by the shim or
 * the host's init. Containers that the engine does not know have execs that it does not know.
 */
export function isEntry(seen: ProcessObservation): seen is Entered {
  const { container, origin, process } = seen
  if (origin.via === 'init' || container.details === null) return false
  if (origin.entry.pid !== process.pid || origin.entry.startTicks !== process.startTicks) return false
  const [nearest] = origin.by
  return nearest !== undefined && nearest.pid !== 1 && !isMonitor(nearest) && !isOfStart(origin.by)
}

/** Names an entry for ever, by whichever of its processes. */
export function entryAct({ container, origin: { entry } }: Pick<Entered, 'container' | 'origin'>): string {
  return `${container.id}:${entry.pid}:${entry.startTicks}`
}

/** The parent of a container's init, which adopts what is left over of an exec. */
export function isMonitor(process: EnteringProcess): boolean {
  return /^(?:containerd-shim.*|conmon)$/.test(programOf(process))
}

/** Hooks of the OCI runtime, and its own steps: brought by what makes or starts the container. */
function isOfStart(by: readonly EnteringProcess[]): boolean {
  if (by[0]?.containerId !== null) return false
  const runtime = by.find((one) => isRuntime(one) && !isRuntimeInit(one))
  const verb = runtime?.argv.find((argument) => verbs.has(argument)) ?? ''
  return verbs.get(verb) === 'starts'
}

// What follows the verb is the container's and may hold the same words.
const verbs: ReadonlyMap<string, 'starts' | 'joins'> = new Map([
  ['create', 'starts'],
  ['start', 'starts'],
  ['run', 'starts'],
  ['restore', 'starts'],
  ['exec', 'joins'],
])

// runc and its wrappers (docker-runc, nvidia-container-runtime), and the others that Docker documents.
function isRuntime({ argv }: EnteringProcess): boolean {
  return /^(?:(?:.*-)?runc|crun|youki|runsc|.*-container-runtime)$/.test(baseName(argv[0] ?? ''))
}

/** The runtime's own last step before it becomes the program that was asked for. */
export function isRuntimeInit(one: EnteringProcess): boolean {
  return isRuntime(one) && one.argv[1] === 'init'
}

/** What one of those who brought a process in is called. */
export function programOf({ exe, argv }: EnteringProcess): string {
  // The runtime runs a copy of itself that has no name.
  const name = appletOf({ exe, argv }) || baseName(exe.replace(/ \(deleted\)$/, ''))
  return name === '' ? baseName(argv[0] ?? '') : name
}
