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
    technique: 'T1611',
    summary:
      'A component of the engine has a known vulnerability that lets containers or API clients bypass their restrictions.',
    remedy:
      'Update the component to a version that its advisory lists as fixed, or to a fixed package of the distribution.',
  },
} as const satisfies Record<string, Rule>

/** `unknown` if the version cannot be judged; it never counts as not vulnerable. */
export type Verdict = 'vulnerable' | 'not-vulnerable' | 'unknown'

export type Judged = ComponentVersion & { vulnerability: Vulnerability; verdict: Verdict }

/**
 * Judges every known vulnerability against the engine's components; `unknown` for a component that it does not name.
 */
export function judgeVersions(
  { components, authorizationPlugins }: Pick<EngineVersions, 'components' | 'authorizationPlugins'>,
  known: readonly Vulnerability[] = vulnerabilities,
): Judged[] {
  return known.map((vulnerability) => {
    const { component, needs } = vulnerability
    const found = components.find((one) => one.component === component)
    const present = found ?? { component, version: '', packageVersion: '' }
    const byVersion = verdictOf(present, vulnerability)
    if (byVersion !== 'vulnerable' || needs === undefined || authorizationPlugins === true)
      return { ...present, vulnerability, verdict: byVersion }
    return {
      ...present,
      vulnerability,
      verdict: authorizationPlugins === false ? 'not-vulnerable' : 'unknown',
    }
  })
}

/**
 * Judges one version for one vulnerability. Distributions patch old versions, which only the package version shows.
 */
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
  // Derivatives build on Debian's packages, with their own fixes.
  if (fix === undefined || /ubuntu|mint|raspbian|\+rpi/i.test(packageVersion)) return 'unknown'
  if ('fixed' in fix)
    return comparePackageVersions(packageVersion, fix.fixed) >= 0 ? 'not-vulnerable' : 'vulnerable'
  // A rebuild changes only the number after `+b`.
  const source = packageVersion.replace(/\+b\d+$/, '')
  return comparePackageVersions(source, fix.unfixedUpTo) <= 0 ? 'vulnerable' : 'unknown'
}

/** `-ce` is the suffix of Docker's own releases until 18.06. */
function isPlain({ extra }: Version): boolean {
  return extra === '' || extra === '-ce'
}

/** Whether the version is a snapshot between two releases. */
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

/** A condition for each vulnerability that applies, until the component changes. */
export function vulnerableComponents({ on }: Pick<Observed, 'on'>): Observable<Detection> {
  return defer(() => {
    const firing = new Set<string>()
    return on('engine-versions').pipe(
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
  const phrases: Record<Verdict, string> = {
    vulnerable: `is vulnerable to ${cve}: ${what}`,
    // A component can also have disappeared, or the plugins that the vulnerability needs.
    'not-vulnerable': 'is not vulnerable',
    unknown: 'cannot be checked',
  }
  return {
    rule: 'runtime-vulnerable',
    state: verdict === 'vulnerable' ? 'firing' : 'resolved',
    time,
    container: null,
    summary: `${component} ${shown} ${phrases[verdict]}`.replace(/ {2,}/g, ' '),
    subject: [cve, component],
    evidence: { cve, component, version, package_version: packageVersion || undefined, sources },
  }
}
