import { isRootUser } from '../../agent/model/container.ts'
import type { ProcessObservation } from '../../agent/model/observation.ts'
import { appletOf } from '../../agent/model/multi-call.ts'
import { clip } from '../../agent/lib/text.ts'

/**
 * Whether the image's profile must contain the program: a container's own process, as root, where root is configured.
 */
export function isRootProgram({
  container,
  process,
  origin,
  change,
  hostFiles,
}: ProcessObservation): boolean {
  // Processes of an exec belong to its finding, and a change of ids runs no program.
  if (origin.via !== 'init' || change === 'ids-changed' || hostFiles !== null || process.exe === '')
    return false
  const isRoot = process.containerUid === 0 || process.containerEuid === 0
  return isRoot && container.details !== null && isRootUser(container.details.user)
}

/**
 * A process's program as profiles name it: the path, the applet of a multi-call binary, and the origin of the file if
 * it is not the image. An unknown origin may be any of them, which gives several names.
 */
export function programNames({
  process,
  file,
}: Pick<ProcessObservation, 'process' | 'file'>): readonly string[] {
  const applet = appletOf(process)
  const name = clip(process.exe, maxPath) + (applet === '' ? '' : ` ${clip(applet, maxApplet)}`)
  const origin = file?.origin ?? 'unknown'
  if (origin === 'unknown') return [name, ...otherOrigins.map((place) => `${name} (${place})`)]
  return [origin === 'image' ? name : `${name} (${origin})`]
}

const otherOrigins = ['container', 'volume', 'tmpfs', 'memory']

const maxPath = 512
const maxApplet = 64
