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
    technique: 'T1611',
    summary:
      'A container lacks part of its isolation: a path of /proc or /sys that must be masked or read-only, its terminal, its security label or its seccomp filter.',
    remedy:
      'Stop and preserve the container, check core_pattern and the evidence, and update runc: CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881 have this result.',
  },
} as const satisfies Record<string, Rule>

/** One condition for each missing mask, until it is in place again or the container has stopped. */
export function maskConditions({ on }: Pick<Observed, 'on'>): Observable<Detection> {
  return defer(() => {
    const firing = new Map<string, ReadonlyMap<string, MissingMask>>()

    function onMasks({ container, missing, pid, time, state }: MaskObservation): Detection[] {
      // A container that could not be read keeps its state.
      if (state === 'unknown') return []
      const before = firing.get(container.id)
      const masks = new Map(missing.map((mask) => [keyOf(mask), mask]))
      if (masks.size === 0) firing.delete(container.id)
      else firing.set(container.id, masks)
      const restored = [...(before ?? [])].filter(([key]) => !masks.has(key))
      return [
        ...restored.map(([, mask]) => resolved(mask, container, `${nameOf(mask)} is in place again`, time)),
        ...[...masks.values()].map((mask) => describe(mask, container, pid, time)),
      ]
    }

    function onEnd(container: Container, time: number): Detection[] {
      const masks = firing.get(container.id) ?? new Map<string, MissingMask>()
      firing.delete(container.id)
      return [...masks.values()].map((mask) => resolved(mask, container, 'the container stopped', time))
    }

    const ends$ = on('container').pipe(filter(({ action }) => action === 'died' || action === 'removed'))
    return merge(
      on('masks').pipe(mergeMap(onMasks)),
      ends$.pipe(mergeMap(({ container, time }) => onEnd(container, time))),
    )
  })
}

const names: Readonly<Record<MaskKind, (path: string) => string>> = {
  'masked-path': (path) => `the mask over ${path}`,
  'readonly-path': (path) => `the read-only mount of ${path}`,
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
    summary: `${container.name}: ${nameOf(mask)} is missing (${clip(found, 160)})`,
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
