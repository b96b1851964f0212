import { baseName } from '../model/text.ts'
import type { Program } from '../processes/known-process.ts'

// Programs by their file's name, as Debian, Red Hat, SUSE, Alpine, Photon and snap name them.
const programs = new Set([
  ...['dpkg', 'dpkg-deb', 'apt', 'apt-get', 'aptitude', 'rpm', 'rpm-ostree', 'rpmdb'],
  ...['dnf5', 'dnf5daemon-server', 'microdnf', 'tdnf', 'zypper', 'apk', 'snapd', 'packagekitd'],
])

// In Python the program is an argument: dnf is `/usr/bin/python3.9 /usr/bin/dnf upgrade`.
const scripts = new Set(['dnf', 'dnf-3', 'yum', 'unattended-upgrade', 'unattended-upgrades'])

// Elsewhere any file could be called so.
const systemFolders = /^\/(?:usr\/(?:local\/)?)?(?:s?bin|lib(?:exec)?(?:\/[\w.-]+)?)\/[^/]+$/

/** Which package manager a program is; empty for none. By its file, never by what it calls itself. */
export function packageManagerName({ exe, argv }: Pick<Program, 'exe' | 'argv'>): string {
  const path = exe.replace(/ \(deleted\)$/, '')
  if (!systemFolders.test(path)) return ''
  const name = baseName(path)
  if (programs.has(name)) return name
  if (!/^(?:platform-)?python[\d.]*$/.test(name)) return ''
  // Options of Python come first: dnf is run with -s or -Es.
  const script = argv.slice(1).find((argument) => !argument.startsWith('-')) ?? ''
  const scriptName = baseName(script)
  return systemFolders.test(script) && scripts.has(scriptName) ? scriptName : ''
}
