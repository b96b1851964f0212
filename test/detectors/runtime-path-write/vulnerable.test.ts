import test from 'ava'
import type { ComponentVersion, EngineVersions } from '../../../agent/model/observation.ts'
import { vulnerabilities } from '../../../detectors/runtime-path-write/vulnerabilities.ts'
import {
  judgeVersions,
  type Verdict,
  verdictOf,
  vulnerableComponents,
} from '../../../detectors/runtime-path-write/vulnerable.ts'
import { marbles } from '../../support/marbles.ts'
import { observing } from '../../support/observed.ts'

const of = (cve: string) => vulnerabilities.find((one) => one.cve === cve) ?? vulnerabilities[0]!

const rows: [string, string, string, Verdict][] = [
  ['CVE-2019-5736', '1.0.0-rc6', '', 'vulnerable'],
  ['CVE-2019-5736', '1.0.0-rc6+dev', '', 'unknown'],
  ['CVE-2019-5736', '1.0.0-rc7', '', 'not-vulnerable'],
  ['CVE-2021-30465', '1.0.0-rc94', '', 'vulnerable'],
  ['CVE-2021-30465', '1.0.0-rc95', '', 'not-vulnerable'],
  ['CVE-2024-21626', '1.0.0-rc92', '', 'not-vulnerable'],
  ['CVE-2024-21626', '1.1.11', '', 'vulnerable'],
  ['CVE-2024-21626', '1.1.12', '', 'not-vulnerable'],
  ['CVE-2024-21626', '1.1.5+ds1', '1.1.5+ds1-1', 'vulnerable'],
  ['CVE-2024-21626', '1.1.5+ds1', '1.1.5+ds1-1+deb12u1', 'not-vulnerable'],
  ['CVE-2024-21626', '1.1.5+ds1', '1.1.5+ds1-1+deb12u2', 'not-vulnerable'],
  ['CVE-2024-21626', '1.1.5+ds1', '', 'unknown'],
  ['CVE-2024-21626', '1.1.7-0ubuntu1~22.04.1', '1.1.7-0ubuntu1~22.04.1', 'unknown'],
  ['CVE-2024-21626', '1.1.4', '1.1.4-1.el9', 'unknown'],
  ['CVE-2025-31133', '1.2.7', '', 'vulnerable'],
  ['CVE-2025-31133', '1.2.8', '', 'not-vulnerable'],
  ['CVE-2025-31133', '1.3.2', '', 'vulnerable'],
  ['CVE-2025-31133', '1.3.3', '', 'not-vulnerable'],
  ['CVE-2025-31133', '1.4.0-rc.2', '', 'vulnerable'],
  ['CVE-2025-31133', '1.4.0-rc.3', '', 'not-vulnerable'],
  ['CVE-2025-31133', '1.5.0-rc.1', '', 'not-vulnerable'],
  ['CVE-2025-31133', '1.1.5+ds1', '1.1.5+ds1-1+deb12u1', 'vulnerable'],
  ['CVE-2025-31133', '1.1.5+ds1', '1.1.5+ds1-1+deb12u1+b2', 'vulnerable'],
  ['CVE-2025-31133', '1.1.5+ds1', '1.1.5+ds1-1+deb12u2', 'unknown'],
  ['CVE-2025-52565', '1.0.0-rc2', '', 'not-vulnerable'],
  ['CVE-2025-52565', '1.0.0-rc3', '', 'vulnerable'],
  ['CVE-2025-52881', '1.2.8-14-g0123abc', '', 'unknown'],
  ['CVE-2024-23651', '25.0.1', '', 'vulnerable'],
  ['CVE-2024-23651', '25.0.0-rc.1', '', 'vulnerable'],
  ['CVE-2024-23651', '25.0.2', '', 'not-vulnerable'],
  ['CVE-2024-23651', '24.0.8', '', 'vulnerable'],
  ['CVE-2024-23651', '24.0.9', '', 'unknown'],
  ['CVE-2024-23653', '20.10.24+dfsg1', '20.10.24+dfsg1-1+deb12u1+b6', 'vulnerable'],
  ['CVE-2024-41110', '20.10.24+dfsg1', '20.10.24+dfsg1-1+deb12u1+b6', 'not-vulnerable'],
  ['CVE-2024-41110', '20.10.24+dfsg1', '20.10.24+dfsg1-1', 'vulnerable'],
  ['CVE-2024-41110', '26.1.4', '', 'vulnerable'],
  ['CVE-2024-41110', '26.1.5+dfsg1', '26.1.5+dfsg1-9', 'not-vulnerable'],
  ['CVE-2024-41110', '18.09.1', '', 'not-vulnerable'],
  ['CVE-2026-34040', '29.3.0', '', 'vulnerable'],
  ['CVE-2026-34040', '29.3.1', '', 'not-vulnerable'],
  ['CVE-2026-41567', '29.5.0', '', 'vulnerable'],
  ['CVE-2026-41567', '29.5.1', '', 'not-vulnerable'],
  ['CVE-2020-15257', '1.3.8', '', 'vulnerable'],
  ['CVE-2020-15257', '1.3.9', '', 'not-vulnerable'],
  ['CVE-2020-15257', '1.4.2', '', 'vulnerable'],
  ['CVE-2022-23648', '1.6.0', '', 'vulnerable'],
  ['CVE-2022-23648', '1.6.20~ds1', '1.6.20~ds1-1+deb12u3', 'not-vulnerable'],
  ['CVE-2022-23648', 'garbage', '', 'unknown'],
  ['CVE-2022-23648', '', '', 'unknown'],
]
for (const [cve, version, packageVersion, verdict] of rows) {
  test(`${cve} in ${version || 'nothing'} ${packageVersion} is ${verdict}`, (t) => {
    t.is(of(cve).cve, cve)
    t.is(verdictOf({ version, packageVersion }, of(cve)), verdict)
  })
}

test('every vulnerability has a source, parseable versions and a unique number', (t) => {
  t.is(new Set(vulnerabilities.map(({ cve }) => cve)).size, vulnerabilities.length)
  for (const { cve, sources, affected, disputed = [] } of vulnerabilities) {
    t.regex(cve, /^CVE-\d{4}-\d{4,}$/)
    t.true(sources.length > 0 && sources.every((source) => URL.canParse(source)), cve)
    for (const { from, before } of [...affected, ...disputed]) {
      t.is(
        verdictOf({ version: from, packageVersion: '' }, { affected: [{ from, before }] }),
        'vulnerable',
        `${cve} ${from}`,
      )
      t.is(
        verdictOf({ version: before, packageVersion: '' }, { affected: [{ from, before }] }),
        'not-vulnerable',
        `${cve} ${before}`,
      )
    }
  }
})

const runc = (version: string): ComponentVersion => ({ component: 'runc', version, packageVersion: '' })
const seen = (
  components: ComponentVersion[],
  authorizationPlugins: boolean | null = false,
): EngineVersions => ({
  kind: 'engine-versions',
  time: 1,
  components,
  authorizationPlugins,
})

test('a component that the engine does not name is unknown; a plugin vulnerability counts only with plugins', (t) => {
  const verdicts = (observed: EngineVersions, cve: string) =>
    judgeVersions(observed).find(({ vulnerability }) => vulnerability.cve === cve)?.verdict
  t.is(verdicts(seen([]), 'CVE-2024-21626'), 'unknown')
  const engine: ComponentVersion = { component: 'engine', version: '29.3.0', packageVersion: '' }
  t.is(verdicts(seen([engine], true), 'CVE-2026-34040'), 'vulnerable')
  t.is(verdicts(seen([engine], false), 'CVE-2026-34040'), 'not-vulnerable')
  t.is(verdicts(seen([engine], null), 'CVE-2026-34040'), 'unknown')
})

test('a vulnerable component is a condition until it changes, even to a version that cannot be judged', (t) => {
  marbles(t, ({ cold, flush }) => {
    const reported: string[] = []
    const engineVersions$ = cold('abcad', {
      a: seen([runc('1.1.11')]),
      b: seen([runc('1.1.11')]),
      c: seen([runc('1.2.8')]),
      d: seen([runc('dev')]),
    })
    vulnerableComponents(observing({ 'engine-versions': engineVersions$ })).subscribe(
      ({ state, subject, summary }) => {
        if (subject[0] === 'CVE-2024-21626') reported.push(`${state}: ${summary}`)
      },
    )
    flush()
    const firing =
      'firing: runc 1.1.11 is vulnerable to CVE-2024-21626: a working directory in /proc/self/fd gives access to the host'
    t.deepEqual(reported, [
      firing,
      firing,
      'resolved: runc 1.2.8 is not vulnerable',
      firing,
      'resolved: runc dev cannot be checked',
    ])
  })
})
