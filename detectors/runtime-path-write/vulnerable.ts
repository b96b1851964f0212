import { defer, mergeMap, type Observable } from 'rxjs'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection, Rule } from '../../agent/model/finding.ts'
import type { ComponentVersion, EngineVersions } from '../../agent/model/observation.ts'
import { type Range, vulnerabilities, type Vulnerability } from './vulnerabilities.ts'
import { comparePackageVersions, compareVersions, parseVersion, type Version } from './versions.ts'

export const vulnerableRules = {
  'runtime-vulnerable': {
    severity: 'warning',
    kind: 'condition',
    summary:
      'A part of the engine has a known vulnerability by which containers, or who talks to the engine, get out of bounds.',
    remedy:
      'Update the component to a version that its advisory names as fixed, or to the distribution’s package that is.',
  },
} as const satisfies Record<string, Rule>

/** `unknown` is said where nobody can tell, and never taken for the better. */
export type Verdict = 'vulnerable' | 'not-vulnerable' | 'unknown'

export type Judged = ComponentVersion & { vulnerability: Vulnerability; verdict: Verdict }

/** Every known vulnerability against what the engine consists of; those of a part that it does not name are unknown. */
export function judgeVersions(
  { components, authorizationPlugins }: Pick<EngineVersions, 'components' | 'authorizationPlugins'>,
  known: readonly Vulnerability[] = vulnerabilities,
): Judged[] {
  return known.map((vulnerability) => {
    const { component, needs } = vulnerability
    const found = components.find((one) => one.component === component)
    const part = found ?? { component, version: '', packageVersion: '' }
    const byVersion = verdictOf(part, vulnerability)
    if (byVersion !== 'vulnerable' || needs === undefined || authorizationPlugins === true)
      return { ...part, vulnerability, verdict: byVersion }
    return { ...part, vulnerability, verdict: authorizationPlugins === false ? 'not-vulnerable' : 'unknown' }
  })
}

/** One version against one vulnerability; distributions mend old versions, which only their packages' versions tell. */
export function verdictOf(
  { version: text, packageVersion }: Pick<ComponentVersion, 'version' | 'packageVersion'>,
  { affected, disputed = [], packages = [] }: Pick<Vulnerability, 'affected' | 'disputed' | 'packages'>,
): Verdict {
  const version = parseVersion(text)
  if (version === null || isSnapshot(version)) return 'unknown'
  if (isWithin(version, disputed)) return 'unknown'
  if (!isWithin(version, affected)) return 'not-vulnerable'
  if (packageVersion === '' && isPlain(version)) return 'vulnerable'
  const fix = packages.find(({ upstream }) => packageVersion.startsWith(`${upstream}-`))
  // Others build on Debian's packages, with fixes of their own.
  if (fix === undefined || /ubuntu|mint|raspbian|\+rpi/i.test(packageVersion)) return 'unknown'
  if ('fixed' in fix)
    return comparePackageVersions(packageVersion, fix.fixed) >= 0 ? 'not-vulnerable' : 'vulnerable'
  // A rebuild changes nothing but the number behind `+b`.
  const source = packageVersion.replace(/\+b\d+$/, '')
  return comparePackageVersions(source, fix.unfixedUpTo) <= 0 ? 'vulnerable' : 'unknown'
}

/** `-ce` is what Docker called its own releases until 18.06. */
function isPlain({ extra }: Version): boolean {
  return extra === '' || extra === '-ce'
}

/** Somewhere between two releases. */
function isSnapshot({ extra }: Version): boolean {
  return /dev|^[-+.]\d+[-.+]g?[0-9a-f]{7}|dirty/.test(extra)
}

function isWithin(version: Version, ranges: readonly Range[]): boolean {
  return ranges.some(({ from, before }) => {
    const [first, end] = [parseVersion(from), parseVersion(before)]
    return (
      first !== null &&
      end !== null &&
      compareVersions(version, first) >= 0 &&
      compareVersions(version, end) < 0
    )
  })
}

/** A condition for each vulnerability that applies, until the engine consists of something else. */
export function vulnerableComponents({
  engineVersions$,
}: Pick<Observed, 'engineVersions$'>): Observable<Detection> {
  return defer(() => {
    const firing = new Set<string>()
    return engineVersions$.pipe(
      mergeMap((seen) =>
        judgeVersions(seen).flatMap((judged) => {
          const { cve } = judged.vulnerability
          const isFiring = judged.verdict === 'vulnerable'
          if (!isFiring && !firing.delete(cve)) return []
          if (isFiring) firing.add(cve)
          return [detectionOf(judged, seen.time)]
        }),
      ),
    )
  })
}

function detectionOf({ vulnerability, verdict, version, packageVersion }: Judged, time: number): Detection {
  const { cve, component, what, sources } = vulnerability
  const shown = packageVersion === '' ? version : packageVersion
  const words: Record<Verdict, string> = {
    vulnerable: `has ${cve}: ${what}`,
    'not-vulnerable': `does not have ${cve} any more`,
    unknown: `cannot be judged for ${cve} any more`,
  }
  return {
    rule: 'runtime-vulnerable',
    state: verdict === 'vulnerable' ? 'firing' : 'resolved',
    time,
    container: null,
    summary: `${component} ${shown} ${words[verdict]}`.replace(/ {2,}/g, ' '),
    subject: [cve, component],
    evidence: { cve, component, version, package_version: packageVersion || undefined, sources },
  }
}
