import { installedProgram } from '../../../model/installed-program.ts'
import type { Program } from '../../processes/table/known-process.ts'

// Programs by their file's name, as Debian, Red Hat, SUSE, Alpine, Photon and snap name them.
const programs = new Set([
  ...['dpkg', 'dpkg-deb', 'apt', 'apt-get', 'aptitude', 'rpm', 'rpm-ostree', 'rpmdb'],
  ...['dnf5', 'dnf5daemon-server', 'microdnf', 'tdnf', 'zypper', 'apk', 'snapd', 'packagekitd'],
])

// In Python the program is an argument: dnf is `/usr/bin/python3.9 /usr/bin/dnf upgrade`.
const scripts = new Set(['dnf', 'dnf-3', 'yum', 'unattended-upgrade', 'unattended-upgrades'])

const installed = {
  folders: /^\/(?:usr\/(?:local\/)?)?(?:s?bin|lib(?:exec)?(?:\/[\w.-]+)?)\/[^/]+$/,
  interpreters: /^(?:platform-)?python[\d.]*$/,
}

/** Which package manager a program is; empty for none. By its file, never by what it calls itself. */
export function packageManagerName(program: Pick<Program, 'exe' | 'argv'>): string {
  const { name, script } = installedProgram(program, installed)
  if (programs.has(name)) return name
  return scripts.has(script) ? script : ''
}
