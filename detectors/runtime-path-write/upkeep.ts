import type { BreakoutFileObservation } from '../../agent/model/observation.ts'
import { baseName } from '../../agent/model/text.ts'

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

// Elsewhere any file could be called so.
const systemFolders = /^\/(?:usr\/(?:local\/)?)?(?:s?bin|lib(?:exec)?(?:\/[\w.-]+)?|share\/apport)\/[^/]+$/

function isKeeper({ exe, argv }: { exe: string; argv: readonly string[] }): boolean {
  const path = exe.replace(/ \(deleted\)$/, '')
  if (!systemFolders.test(path)) return false
  if (keepers.has(baseName(path))) return true
  if (!interpreters.test(baseName(path))) return false
  // The interpreter's own options come first.
  const script = argv.slice(1).find((argument) => !argument.startsWith('-')) ?? ''
  return systemFolders.test(script) && scripts.has(baseName(script))
}

const interpreters = /^(?:(?:platform-)?python[\d.]*|sh|dash|bash|busybox)$/
