import { defer, merge, mergeMap, type Observable } from 'rxjs'
import type { Container } from '../../agent/model/container.ts'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection, Rule } from '../../agent/model/finding.ts'
import type { ContainerObservation, RuntimeFileObservation } from '../../agent/model/observation.ts'
import { isRuntimeProgram } from '../../agent/model/runtime-program.ts'
import { clip } from '../../agent/lib/text.ts'

export const mountedPathRules = {
  'runtime-path-mounted': {
    severity: 'warning',
    kind: 'condition',
    technique: 'T1611',
    summary: 'A container has a writable mount of a runtime program, or of a directory above one.',
    remedy:
      'Mount it read-only, or mount a directory without runtime programs; write access there gives root on the host.',
  },
} as const satisfies Record<string, Rule>

/** Judges each container again when it changes, and all of them when a runtime file becomes known. */
export function mountedRuntimePaths({ on }: Pick<Observed, 'on'>): Observable<Detection> {
  return defer(() => {
    const paths = new Set<string>()
    const running = new Map<string, { container: Container; reported: string }>()

    function onContainer({ container, action, time }: ContainerObservation): Detection[] {
      if (action === 'died' || action === 'removed') {
        const known = running.get(container.id)
        running.delete(container.id)
        return known?.reported ? [resolved(container, time)] : []
      }
      if (!isUp(container)) return []
      running.set(container.id, { container, reported: running.get(container.id)?.reported ?? '' })
      return judge(container.id, time)
    }

    function onFile(seen: RuntimeFileObservation): Detection[] {
      const { path, time } = seen
      if (paths.has(path) || !isRuntimeProgram(seen)) return []
      paths.add(path)
      return [...running.keys()].flatMap((id) => judge(id, time))
    }

    function judge(id: string, time: number): Detection[] {
      const known = running.get(id)
      if (known === undefined) return []
      const mounted = mountedWritable(known.container, paths)
      const reported = JSON.stringify([known.container.name, mounted])
      if (mounted.length === 0 || reported === known.reported) return []
      running.set(id, { container: known.container, reported })
      return [firing(known.container, mounted, time)]
    }

    return merge(on('container').pipe(mergeMap(onContainer)), on('runtime-file').pipe(mergeMap(onFile)))
  })
}

export type MountedPath = { source: string; destination: string; files: string[] }

/** The writable mounts that contain runtime files, with those files. */
export function mountedWritable(
  { details }: Pick<Container, 'details'>,
  paths: ReadonlySet<string>,
): MountedPath[] {
  return (details?.mounts ?? []).flatMap(({ source, destination, writable }) => {
    const files = writable && source.startsWith('/') ? [...paths].filter((path) => isIn(path, source)) : []
    return files.length === 0 ? [] : [{ source, destination, files }]
  })
}

/** Whether a file is the mount's source or below it, also by its name from before the /usr merge. */
function isIn(path: string, source: string): boolean {
  return [path, path.replace(/^\/usr(?=\/(?:s?bin|lib)\/)/, '')].some(
    (name) => source === '/' || name === source || name.startsWith(`${source.replace(/\/$/, '')}/`),
  )
}

function isUp({ state }: Container): boolean {
  return state === 'running' || state === 'paused'
}

function firing(container: Container, mounted: readonly MountedPath[], time: number): Detection {
  const [first] = mounted
  return {
    rule: 'runtime-path-mounted',
    state: 'firing',
    time,
    container,
    summary: `${container.name} can write to ${clip(first?.files[0] ?? '', 160)} (${clip(first?.source ?? '', 160)} is mounted at ${clip(first?.destination ?? '', 160)})`,
    subject: [],
    evidence: {
      mounts: mounted.map(({ source, destination, files }) => ({
        source: clip(source, 1_024),
        destination: clip(destination, 1_024),
        files: files.slice(0, 16),
      })),
    },
  }
}

function resolved(container: Container, time: number): Detection {
  return {
    rule: 'runtime-path-mounted',
    state: 'resolved',
    time,
    container,
    summary: 'the container stopped',
    subject: [],
    evidence: {},
  }
}
