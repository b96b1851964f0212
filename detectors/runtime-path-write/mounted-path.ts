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
    summary:
      'A container has a program that runs when Docker starts a container, or a folder above one, mounted writable.',
    remedy: 'Mount it read-only, or a folder that does not contain it; who writes there is root on the host.',
  },
} as const satisfies Record<string, Rule>

/** Judged anew when a container changes and when a runtime file becomes known, whichever comes first. */
export function mountedRuntimePaths({
  containers$,
  runtimeFiles$,
}: Pick<Observed, 'containers$' | 'runtimeFiles$'>): Observable<Detection> {
  return defer(() => {
    const paths = new Set<string>()
    const running = new Map<string, { container: Container; told: string; as: Container | null }>()

    function onContainer({ container, action, time }: ContainerObservation): Detection[] {
      if (action === 'died' || action === 'removed') {
        const known = running.get(container.id)
        running.delete(container.id)
        return known?.as ? [resolved(known.as, time)] : []
      }
      if (!isUp(container)) return []
      const known = running.get(container.id)
      running.set(container.id, { container, told: known?.told ?? '', as: known?.as ?? null })
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
      const told = JSON.stringify([known.container.name, mounted])
      if (mounted.length === 0 || told === known.told) return []
      const former = known.as
      running.set(id, { container: known.container, told, as: known.container })
      // A condition ends under the name that it was told under.
      const ended = former !== null && former.name !== known.container.name ? [resolved(former, time)] : []
      return [...ended, firing(known.container, mounted, time)]
    }

    return merge(containers$.pipe(mergeMap(onContainer)), runtimeFiles$.pipe(mergeMap(onFile)))
  })
}

export type MountedPath = { source: string; destination: string; files: string[] }

/** The writable mounts that hold runtime files, and which. */
export function mountedWritable(
  { details }: Pick<Container, 'details'>,
  paths: ReadonlySet<string>,
): MountedPath[] {
  return (details?.mounts ?? []).flatMap(({ source, destination, writable }) => {
    const files = writable && source.startsWith('/') ? [...paths].filter((path) => isIn(path, source)) : []
    return files.length === 0 ? [] : [{ source, destination, files }]
  })
}

/** Whether a file is what is mounted, or below of it, also by its name from before /usr was merged. */
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
    summary: `${container.name} can write to ${clip(first?.files[0] ?? '', 160)}: ${clip(first?.source ?? '', 160)} is mounted at ${clip(first?.destination ?? '', 160)}`,
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
    summary: `${container.name} ended`,
    subject: [],
    evidence: {},
  }
}
