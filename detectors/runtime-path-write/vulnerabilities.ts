import type { EngineComponent } from '../../agent/model/observation.ts'

/** A known vulnerability of an engine component that leads out of a container, or to the engine's privileges. */
export type Vulnerability = {
  cve: string
  component: EngineComponent
  /** A short description for findings. */
  what: string
  /** Affected upstream versions. */
  affected: readonly Range[]
  /** Versions on which the sources disagree. */
  disputed?: readonly Range[]
  /** Distribution packages of an affected version, judged by the packages' own changelogs. */
  packages?: readonly PackagedFix[]
  /** The vulnerability only matters if this is in use. */
  needs?: 'authorization-plugin'
  /** The sources of the version ranges. */
  sources: readonly string[]
}

/** A `from` of an alpha includes the release's pre-releases; `before` is the first unaffected version. */
export type Range = { from: string; before: string }

/** For one packaged upstream version: the first fixed package version, or the last one known to be unfixed. */
export type PackagedFix = { upstream: string } & ({ fixed: string } | { unfixedUpTo: string })

const osv = (id: string) => `https://pkg.go.dev/vuln/${id}`
const runcAdvisory = (id: string) => `https://github.com/opencontainers/runc/security/advisories/${id}`
const runcChangelog = 'https://github.com/opencontainers/runc/blob/main/CHANGELOG.md'
const debian = (cve: string) => `https://security-tracker.debian.org/tracker/${cve}`

// changelog.Debian.gz of runc 1.1.5+ds1-1+deb12u1 and of docker.io 20.10.24+dfsg1-1+deb12u1 list their fixes.
const runcOfDebian12 = '1.1.5+ds1'
const dockerOfDebian12 = '20.10.24+dfsg1'

const maskRaces = [
  { from: '1.3.0-rc.1', before: '1.3.3' },
  { from: '1.4.0-rc.1', before: '1.4.0-rc.3' },
]
const notInDebian12 = [{ upstream: runcOfDebian12, unfixedUpTo: '1.1.5+ds1-1+deb12u1' }]
const notInDockerOfDebian12 = [{ upstream: dockerOfDebian12, unfixedUpTo: '20.10.24+dfsg1-1+deb12u1' }]

const buildKit = {
  component: 'engine',
  // The engine's own BuildKit; 25.0.2 is the first with 0.12.5.
  affected: [
    { from: '18.09.0-alpha', before: '24.0.9' },
    { from: '25.0.0-alpha', before: '25.0.2' },
  ],
  // Docker lists 24.0.9 as fixed; other sources list its BuildKit as affected.
  disputed: [{ from: '24.0.9', before: '25.0.0-alpha' }],
  packages: notInDockerOfDebian12,
} as const

/** All known vulnerabilities; each one must have a source. */
export const vulnerabilities: readonly Vulnerability[] = [
  {
    cve: 'CVE-2019-5736',
    component: 'runc',
    what: 'a container can overwrite runc through /proc/self/exe',
    affected: [{ from: '0.0.0', before: '1.0.0-rc7' }],
    sources: [
      'https://nvd.nist.gov/vuln/detail/CVE-2019-5736',
      'https://github.com/opencontainers/runc/issues/1985',
    ],
  },
  {
    cve: 'CVE-2021-30465',
    component: 'runc',
    what: 'a symbolic link swapped during a mount gives access to the host',
    affected: [{ from: '0.0.0', before: '1.0.0-rc95' }],
    sources: [runcAdvisory('GHSA-c3xm-pvg7-gh7r')],
  },
  {
    cve: 'CVE-2024-21626',
    component: 'runc',
    what: 'a working directory in /proc/self/fd gives access to the host',
    affected: [{ from: '1.0.0-rc93', before: '1.1.12' }],
    packages: [{ upstream: runcOfDebian12, fixed: '1.1.5+ds1-1+deb12u1' }],
    sources: [runcAdvisory('GHSA-xr7r-f8xq-vfvv'), osv('GO-2024-2491'), debian('CVE-2024-21626')],
  },
  {
    cve: 'CVE-2025-31133',
    component: 'runc',
    what: 'a race while masking a path leaves /proc/sys/kernel/core_pattern writable',
    affected: [{ from: '0.0.0', before: '1.2.8' }, ...maskRaces],
    packages: notInDebian12,
    sources: [runcAdvisory('GHSA-9493-h29p-rfm2'), osv('GO-2025-4096'), runcChangelog],
  },
  {
    cve: 'CVE-2025-52565',
    component: 'runc',
    what: 'a race while mounting /dev/console leaves a path of /proc writable',
    affected: [{ from: '1.0.0-rc3', before: '1.2.8' }, ...maskRaces],
    packages: notInDebian12,
    sources: [runcAdvisory('GHSA-qw9x-cqr3-wc7r'), runcChangelog],
  },
  {
    cve: 'CVE-2025-52881',
    component: 'runc',
    what: 'a race redirects writes to /proc: a security label is not set, or core_pattern is written',
    affected: [{ from: '0.0.0', before: '1.2.8' }, ...maskRaces],
    packages: notInDebian12,
    sources: [runcAdvisory('GHSA-cgrx-mc8f-2prm'), runcChangelog],
  },
  {
    cve: 'CVE-2024-23651',
    ...buildKit,
    what: 'a race in a cache mount of a build step gives access to the host',
    sources: [
      'https://github.com/moby/buildkit/security/advisories/GHSA-m3r6-h7wv-7xxv',
      'https://securityonline.info/cve-2024-21626-docker-confronts-critical-container-escape-threat',
    ],
  },
  {
    cve: 'CVE-2024-23652',
    ...buildKit,
    what: 'removing the mount point of a build can remove a file on the host',
    sources: [
      'https://github.com/moby/buildkit/security/advisories/GHSA-4v98-7qmw-rqr8',
      'https://securityonline.info/cve-2024-21626-docker-confronts-critical-container-escape-threat',
    ],
  },
  {
    cve: 'CVE-2024-23653',
    ...buildKit,
    what: 'a build frontend can run privileged containers without permission',
    sources: [
      'https://github.com/moby/buildkit/security/advisories/GHSA-wr6v-9f75-vh2g',
      'https://securityonline.info/cve-2024-21626-docker-confronts-critical-container-escape-threat',
    ],
  },
  {
    cve: 'CVE-2024-41110',
    component: 'engine',
    what: 'a request forwarded without its body bypasses the authorization plugin',
    affected: [
      { from: '19.03.0-alpha', before: '19.03.16' },
      { from: '20.10.0-alpha', before: '20.10.28' },
      { from: '23.0.0-alpha', before: '23.0.15' },
      { from: '24.0.0-alpha', before: '24.0.10' },
      { from: '25.0.0-alpha', before: '25.0.6' },
      { from: '26.0.0-alpha', before: '26.0.3' },
      { from: '26.1.0-alpha', before: '26.1.5' },
      { from: '27.0.0-alpha', before: '27.0.4' },
      { from: '27.1.0-alpha', before: '27.1.1' },
    ],
    packages: [{ upstream: dockerOfDebian12, fixed: '20.10.24+dfsg1-1+deb12u1' }],
    needs: 'authorization-plugin',
    sources: [
      osv('GO-2024-3005'),
      'https://github.com/moby/moby/security/advisories/GHSA-v23v-6jw2-98fq',
      debian('CVE-2024-41110'),
    ],
  },
  {
    cve: 'CVE-2026-34040',
    component: 'engine',
    what: 'a request with a large body bypasses the authorization plugin',
    affected: [{ from: '0.0.0', before: '29.3.1' }],
    packages: notInDockerOfDebian12,
    needs: 'authorization-plugin',
    sources: ['https://github.com/moby/moby/security/advisories/GHSA-x744-4wpc-v9h2'],
  },
  {
    cve: 'CVE-2026-41567',
    component: 'engine',
    what: 'a compressed archive copied into a container is unpacked on the host by a program from the container',
    affected: [{ from: '0.0.0', before: '29.5.1' }],
    packages: notInDockerOfDebian12,
    sources: [
      'https://nvd.nist.gov/vuln/detail/CVE-2026-41567',
      'https://github.com/flatcar/Flatcar/issues/2142',
    ],
  },
  {
    cve: 'CVE-2020-15257',
    component: 'containerd',
    what: 'a container in the host network can reach the shim’s socket',
    affected: [
      { from: '0.0.0', before: '1.3.9' },
      { from: '1.4.0-alpha', before: '1.4.3' },
    ],
    sources: ['https://github.com/containerd/containerd/security/advisories/GHSA-36xw-fx78-c5r4'],
  },
  {
    cve: 'CVE-2022-23648',
    component: 'containerd',
    what: 'a volume of an image can expose files of the host',
    affected: [
      { from: '0.0.0', before: '1.4.13' },
      { from: '1.5.0-alpha', before: '1.5.10' },
      { from: '1.6.0-alpha', before: '1.6.1' },
    ],
    sources: [
      'https://github.com/containerd/containerd/security/advisories/GHSA-crp2-qrr5-8pq7',
      osv('GO-2022-0344'),
    ],
  },
]
