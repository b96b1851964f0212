import type { BreakoutFileObservation } from '../../agent/model/observation.ts'
import { installedProgram } from '../../agent/model/installed-program.ts'

/**
 * Whether the change is the host's own maintenance: by a package manager, or by the program that applies sysctl.d or
 * binfmt.d, identified by its executable file and never by the name it gives itself; or by a service during boot.
 */
export function isMaintenance(seen: BreakoutFileObservation): boolean {
  const { writer, container, sinceBoot } = seen
  if (container !== null) return false
  const isBoot = sinceBoot < bootMs
  // systemd, elogind and others mount hierarchies; the process that mounted one is not observed.
  if (writer === null) return isBoot && seen.file === 'cgroup_hierarchy' && !seen.holders?.length
  const ancestry = [writer, ...writer.ancestors]
  if (ancestry.some(isMaintainer)) return true
  // A service: no login, and its ancestry ends at pid 1.
  return isBoot && writer.loginUser === '' && ancestry.at(-1)?.pid === 1
}

const bootMs = 60_000

/** Programs of the host, by the name of their file. */
const programs = new Set([
  ...['dpkg', 'apt', 'apt-get', 'aptitude', 'update-binfmts'], // Debian
  ...['rpm', 'rpm-ostree', 'dnf5', 'microdnf', 'tdnf', 'zypper', 'packagekitd'], // Red Hat, SUSE, Photon
  ...['apk', 'snapd'],
  ...['systemd-sysctl', 'systemd-binfmt'],
])

/** Scripts by name: of package managers, and those that route crashes to Ubuntu's apport and Red Hat's abrt. */
const scripts = new Set([
  ...['dnf', 'dnf-3', 'yum', 'unattended-upgrade', 'unattended-upgrades'],
  ...['apport', 'abrt-install-ccpp-hook'],
])

const installed = {
  folders: /^\/(?:usr\/(?:local\/)?)?(?:s?bin|lib(?:exec)?(?:\/[\w.-]+)?|share\/apport)\/[^/]+$/,
  interpreters: /^(?:(?:platform-)?python[\d.]*|sh|dash|bash|busybox)$/,
}

function isMaintainer(program: { exe: string; argv: readonly string[] }): boolean {
  const { name, script } = installedProgram(program, installed)
  return programs.has(name) || scripts.has(script)
}
