import { defer, filter, merge, mergeMap, type Observable } from 'rxjs'
import type { Container } from '../../agent/model/container.ts'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection, Rule } from '../../agent/model/finding.ts'
import type { MaskKind, MaskObservation, MissingMask } from '../../agent/model/observation.ts'
import { clip } from '../../agent/lib/text.ts'

export const maskRules = {
  'mask-missing': {
    severity: 'critical',
    kind: 'condition',
    summary:
      'What is to keep a container from the host is not in place: a path of /proc or /sys that ought to be masked or read-only, its terminal, its security label or its seccomp filter.',
    remedy:
      'Stop the container and keep it for inspection, look at core_pattern and what the evidence names, and update runc: CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881 end so.',
  },
} as const satisfies Record<string, Rule>

/** One condition for each thing that is missing, until it is there again or the container has ended. */
export function maskConditions({
  masks$,
  containers$,
}: Pick<Observed, 'masks$' | 'containers$'>): Observable<Detection> {
  return defer(() => {
    const firing = new Map<string, Firing>()

    function onLook({ container, missing, pid, time, state }: MaskObservation): Detection[] {
      // Who could not be looked at is neither better nor worse than before.
      if (state === 'unknown') return []
      const before = firing.get(container.id)
      const masks = new Map(missing.map((mask) => [keyOf(mask), mask]))
      if (masks.size === 0) firing.delete(container.id)
      else firing.set(container.id, { container, masks })
      const isSame = before?.container.name === container.name
      const mended = [...(before?.masks ?? [])].filter(([key]) => !isSame || !masks.has(key))
      return [
        ...mended.map(([, mask]) =>
          resolved(
            mask,
            before?.container ?? container,
            `${nameOf(mask)} is in place again in ${container.name}`,
            time,
          ),
        ),
        ...[...masks.values()].map((mask) => describe(mask, container, pid, time)),
      ]
    }

    function onEnd({ id }: Container, time: number): Detection[] {
      const before = firing.get(id)
      firing.delete(id)
      if (before === undefined) return []
      const { container, masks } = before
      return [...masks.values()].map((mask) => resolved(mask, container, `${container.name} ended`, time))
    }

    const ends$ = containers$.pipe(filter(({ action }) => action === 'died' || action === 'removed'))
    return merge(
      masks$.pipe(mergeMap(onLook)),
      ends$.pipe(mergeMap(({ container, time }) => onEnd(container, time))),
    )
  })
}

/** Under which name it was told: a condition ends under the same, whatever the container is called by then. */
type Firing = { container: Container; masks: ReadonlyMap<string, MissingMask> }

const names: Readonly<Record<MaskKind, (path: string) => string>> = {
  'masked-path': (path) => `the mask of ${path}`,
  'readonly-path': (path) => `the write protection of ${path}`,
  console: (path) => `the terminal at ${path}`,
  terminals: (path) => `the terminals at ${path}`,
  'security-label': () => 'the security label',
  seccomp: () => 'the seccomp filter',
}

function nameOf({ what, path }: MissingMask): string {
  return names[what](clip(path, 160))
}

function keyOf({ what, path }: MissingMask): string {
  return `${what} ${path}`
}

function describe(mask: MissingMask, container: Container, pid: number, time: number): Detection {
  const { what, path, found } = mask
  return {
    rule: 'mask-missing',
    state: 'firing',
    time,
    container,
    summary: `${nameOf(mask)} is missing in ${container.name}: ${clip(found, 160)}`,
    subject: [what, path],
    evidence: { missing: what, path: clip(path, 1_024), found: clip(found, 1_024), pid },
  }
}

function resolved(mask: MissingMask, container: Container, summary: string, time: number): Detection {
  const { what, path } = mask
  return {
    rule: 'mask-missing',
    state: 'resolved',
    time,
    container,
    summary,
    subject: [what, path],
    evidence: {},
  }
}
