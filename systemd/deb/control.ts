/** Data of the control file; the size is in KiB, as Debian policy 5.6.20 requires. */
export type Control = { version: string; architecture: string; installedKiB: number }

/** The maintainer, as named in the control file and the changelog. */
export const maintainer = 'The tidewatch maintainers <maintainers@tidewatch.invalid>'

/** The control file. */
export function controlFile({ version, architecture, installedKiB }: Control): string {
  return `Package: tidewatch
Version: ${version}
Architecture: ${architecture}
Maintainer: ${maintainer}
Installed-Size: ${installedKiB}
Section: admin
Priority: optional
Depends: libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 8), procps, systemd | systemd-standalone-sysusers
Recommends: docker.io | docker-ce | moby-engine
Suggests: prometheus, prometheus-alertmanager
Description: Runtime behaviour monitor for Docker hosts
 One daemon per host watches the Docker Engine's events, the kernel's
 processes, the containers' cgroups and the runtime's own files, and reports
 exec into containers, unexpected root processes, writes to the runc path and
 breaches of resource limits, as Prometheus metrics, Alertmanager alerts and a
 store of findings.
 .
 It only reads from the engine. The package includes the required Node.js,
 because no release of Debian or Ubuntu ships a recent enough version.
`
}

/** Debian's name for the architecture of this machine. */
export function debianArchitecture(arch = process.arch): string {
  const names: Partial<Record<NodeJS.Architecture, string>> = { x64: 'amd64', arm64: 'arm64' }
  const name = names[arch]
  if (name === undefined) throw new Error(`there is no package for ${arch}: only x64 and arm64 are supported`)
  return name
}

/** The changelog for Debian's tools; CHANGELOG.md next to it is the one for users. */
export function debianChangelog(version: string, date: Date): string {
  return `tidewatch (${version}) stable; urgency=medium

  * Release ${version}; see CHANGELOG.md for the changes.

 -- ${maintainer}  ${date.toUTCString().replace('GMT', '+0000')}
`
}
