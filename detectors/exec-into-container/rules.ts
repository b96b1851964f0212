import { isRootUser } from '../../agent/model/container.ts'
import type { Rule } from '../../agent/model/finding.ts'
import type { ExecObservation } from '../../agent/model/observation.ts'
import { appletOf } from '../../agent/model/multi-call.ts'
import { baseName } from '../../agent/lib/text.ts'

/** The detector's rules; entries without the Docker API last. */
export const execRules = {
  'exec-command': {
    severity: 'info',
    kind: 'event',
    technique: 'T1609',
    summary: 'A command was run in a container through the Docker API.',
    remedy: 'Nothing, if you know the caller. Health checks are counted separately and never reported.',
  },
  'interactive-shell': {
    severity: 'warning',
    kind: 'event',
    technique: 'T1609',
    summary:
      'An interactive shell was opened in a container: the exec has a terminal, or a shell reads commands from standard input.',
    remedy: 'Ask the caller. Manual changes are lost at the next deploy, and attackers work this way too.',
  },
  'exec-as-root': {
    severity: 'warning',
    kind: 'event',
    technique: 'T1609',
    summary: 'A command was run as root in a container that is configured to run as another user.',
    remedy: 'Find out why root was needed. Run it as the configured user, or build it into the image.',
  },
  'privileged-exec': {
    severity: 'critical',
    kind: 'event',
    technique: 'T1609',
    summary:
      'A command was run with --privileged in an unprivileged container: it holds all capabilities of the host.',
    remedy: 'Assume the host is compromised until you know who ran it and why.',
  },
  'exec-from-container': {
    severity: 'warning',
    kind: 'event',
    technique: 'T1609',
    summary:
      'A client in another container, which rarely or never did so before, ran a command in a container through the Docker API.',
    remedy:
      'If the client needs the Docker API, wait until it is learned. Otherwise remove its access to the socket.',
  },
  'healthcheck-lookalike': {
    severity: 'warning',
    kind: 'event',
    technique: 'T1036',
    summary:
      'The command of a health check was run by an API client, or far more often than the engine would run it.',
    remedy: 'Check the caller: health checks are not reported, so an attacker may imitate one.',
  },
  'untracked-exec': {
    severity: 'critical',
    kind: 'event',
    technique: 'T1609',
    summary:
      'A process entered a container without the Docker API: by nsenter, chroot or the runtime itself.',
    remedy: 'Find out who was root on the host: this needs root there and leaves no trace in the engine.',
  },
  'host-namespace-entered': {
    severity: 'critical',
    kind: 'event',
    technique: 'T1611',
    summary:
      'A process of a container escaped: it runs in the host’s mount namespace or sees the host’s root directory.',
    remedy: 'Assume the host is compromised, stop the container, and find out how it escaped.',
  },
  'file-copy': {
    severity: 'info',
    kind: 'event',
    technique: 'T1609',
    summary: 'Files were copied into or out of a container through the Docker API.',
    remedy: 'Nothing, if you know the caller. Files copied in are lost at the next deploy.',
  },
} as const satisfies Record<string, Rule>

// Programs that read commands from their input: the names in /etc/shells of Debian, Alpine and Fedora.
const shells = new Set(['sh', 'bash', 'dash', 'ash', 'zsh', 'ksh', 'mksh', 'fish', 'csh', 'tcsh', 'hush'])

/** Whether a command is a shell; a login shell's name begins with a dash. */
export function isShell(argv: readonly string[]): boolean {
  const [program = ''] = argv
  return shells.has(appletOf({ exe: program, argv }) || baseName(program).replace(/^-/, ''))
}

/** Every rule that applies to an exec as requested from the engine, the plain one last. */
export function rulesOfExec(exec: ExecObservation): [string, ...string[]] {
  const { container, settings, argv } = exec
  if (settings === null) return ['exec-command']
  const entersPrivileged = settings.privileged && container.details?.privileged === false
  const entersAsRoot =
    container.details !== null && isRootUser(settings.user) && !isRootUser(container.details.user)
  const hasShellOnInput = settings.openStdin && isShell(argv)

  const rules: string[] = []
  if (entersPrivileged) rules.push('privileged-exec')
  if (!exec.healthcheck && hasHealthcheckArgv(exec)) rules.push('healthcheck-lookalike')
  if (entersAsRoot) rules.push('exec-as-root')
  if (settings.tty || hasShellOnInput) rules.push('interactive-shell')
  const [first, ...others] = [...rules, 'exec-command']
  return [first, ...others]
}

/** The engine runs its health checks with exactly one argv; an exec that differs otherwise is not the engine's. */
function hasHealthcheckArgv({ container, argv }: ExecObservation): boolean {
  const expected = container.details?.healthcheck?.argv
  return expected?.length === argv.length && argv.every((argument, index) => argument === expected[index])
}
