import { isRootUser } from '../../agent/model/container.ts'
import type { ProcessObservation } from '../../agent/model/observation.ts'
import { appletOf } from '../../agent/model/multi-call.ts'
import { clip } from '../../agent/lib/text.ts'

/** Whether a profile of its image has to know what runs: a container's own process, as root, where root is configured. */
export function isRootProgram({
  container,
  process,
  origin,
  change,
  hostFiles,
}: ProcessObservation): boolean {
  // What came by an exec is told as that, and whoever only changed its ids has run nothing.
  if (origin.via !== 'init' || change === 'ids-changed' || hostFiles !== null || process.exe === '')
    return false
  const isRoot = process.containerUid === 0 || process.containerEuid === 0
  return isRoot && container.details !== null && isRootUser(container.details.user)
}

/**
 * What a process runs, as a profile knows it: path, the applet of a program that is many in one, and where the file
 * comes from when that is not the image. Where that is unknown, any place will do: then there are several names.
 */
export function programNames({
  process,
  file,
}: Pick<ProcessObservation, 'process' | 'file'>): readonly string[] {
  const applet = appletOf(process)
  const name = clip(process.exe, maxPath) + (applet === '' ? '' : ` ${clip(applet, maxApplet)}`)
  const origin = file?.origin ?? 'unknown'
  if (origin === 'unknown') return [name, ...elsewhere.map((place) => `${name} (${place})`)]
  return [origin === 'image' ? name : `${name} (${origin})`]
}

const elsewhere = ['container', 'volume', 'tmpfs', 'memory']

const maxPath = 512
const maxApplet = 64
