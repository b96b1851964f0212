import { installedProgram } from '../../../model/installed-program.ts'
import type { Program } from '../../processes/table/known-process.ts'

// File names of the programs on Debian, Red Hat, SUSE, Alpine, Photon and snap.
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

/**
 * The package manager that a program is; empty for none. Decided by its executable file, never by the name it gives
 * itself.
 */
export function packageManagerName(program: Pick<Program, 'exe' | 'argv'>): string {
  const { name, script } = installedProgram(program, installed)
  if (programs.has(name)) return name
  return scripts.has(script) ? script : ''
}
