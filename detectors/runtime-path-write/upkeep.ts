import type { BreakoutFileObservation } from '../../agent/model/observation.ts'
import { installedProgram } from '../../agent/model/installed-program.ts'

/**
 * Whether the host itself keeps its settings: the package manager or the program that reads sysctl.d and binfmt.d, seen
 * by the file that runs and never by what it calls itself; and what services set while the host boots.
 */
export function isUpkeep(seen: BreakoutFileObservation): boolean {
  const { writer, container, sinceBoot } = seen
  if (container !== null) return false
  const isBoot = sinceBoot < bootMs
  // systemd, elogind and the like mount hierarchies; who mounted one is not seen.
  if (writer === null) return isBoot && seen.file === 'cgroup_hierarchy' && !seen.holders?.length
  const line = [writer, ...writer.ancestors]
  if (line.some(isKeeper)) return true
  // A service: nobody has logged in, and its line ends in the first process.
  return isBoot && writer.loginUser === '' && line.at(-1)?.pid === 1
}

const bootMs = 60_000

/** Programs of the host by their file's name. */
const keepers = new Set([
  ...['dpkg', 'apt', 'apt-get', 'aptitude', 'update-binfmts'], // Debian
  ...['rpm', 'rpm-ostree', 'dnf5', 'microdnf', 'tdnf', 'zypper', 'packagekitd'], // Red Hat, SUSE, Photon
  ...['apk', 'snapd'],
  ...['systemd-sysctl', 'systemd-binfmt'],
])

/** Scripts by their name: of package managers, and those that hand crashes to Ubuntu's apport and Red Hat's abrt. */
const scripts = new Set([
  ...['dnf', 'dnf-3', 'yum', 'unattended-upgrade', 'unattended-upgrades'],
  ...['apport', 'abrt-install-ccpp-hook'],
])

const installed = {
  folders: /^\/(?:usr\/(?:local\/)?)?(?:s?bin|lib(?:exec)?(?:\/[\w.-]+)?|share\/apport)\/[^/]+$/,
  interpreters: /^(?:(?:platform-)?python[\d.]*|sh|dash|bash|busybox)$/,
}

function isKeeper(program: { exe: string; argv: readonly string[] }): boolean {
  const { name, script } = installedProgram(program, installed)
  return keepers.has(name) || scripts.has(script)
}
