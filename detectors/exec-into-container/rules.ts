import { isRootUser } from '../../agent/model/container.ts'
import type { Rule } from '../../agent/model/finding.ts'
import type { ExecObservation } from '../../agent/model/observation.ts'
import { appletOf } from '../../agent/model/multi-call.ts'
import { baseName } from '../../agent/lib/text.ts'

/** What the detector can say; the entries without the Docker API last. */
export const execRules = {
  'exec-command': {
    severity: 'info',
    kind: 'event',
    summary: 'A command was run in a container through the Docker API.',
    remedy: 'Nothing, if you know who did it; health checks are counted apart and never reported.',
  },
  'interactive-shell': {
    severity: 'warning',
    kind: 'event',
    summary: 'Somebody works interactively in a container: with a terminal, or with a shell on open input.',
    remedy:
      'Ask who it was; what is changed by hand is lost at the next deploy, and attackers work like this.',
  },
  'exec-as-root': {
    severity: 'warning',
    kind: 'event',
    summary: 'A command was run as root in a container that is configured to run as another user.',
    remedy: 'Find out why root was needed; run it as the configured user, or build it into the image.',
  },
  'privileged-exec': {
    severity: 'critical',
    kind: 'event',
    summary:
      'A command was run with --privileged in a container that is not: it holds all capabilities of the host.',
    remedy: 'Treat the host as entered by whoever ran it, until you know why it was done.',
  },
  'exec-from-container': {
    severity: 'warning',
    kind: 'event',
    summary: 'A command was run in a container by a client in another, which seldom or never did so before.',
    remedy:
      'If the client has to use the Docker API, wait until it is learned; else take the socket away from it.',
  },
  'healthcheck-lookalike': {
    severity: 'warning',
    kind: 'event',
    summary: 'The command of a health check was run, but not by the engine, or far more often than it would.',
    remedy: 'Look at the caller: health checks are not reported, and somebody may hide behind them.',
  },
  'untracked-exec': {
    severity: 'critical',
    kind: 'event',
    summary:
      'A process entered a container without the Docker API: by nsenter, chroot or the runtime itself.',
    remedy: 'Ask who was on the host: this needs root there, and leaves no trace in the engine.',
  },
  'host-namespace-entered': {
    severity: 'critical',
    kind: 'event',
    summary: 'A process of a container has got out: it sees the files of the host as the host does.',
    remedy: 'Treat the host as taken over, stop the container, and find out what let it out.',
  },
  'file-copy': {
    severity: 'info',
    kind: 'event',
    summary: 'Files were copied into a container or out of it through the Docker API.',
    remedy: 'Nothing, if you know who did it; what is copied in is lost at the next deploy.',
  },
} as const satisfies Record<string, Rule>

// Programs that read commands from their input; what /etc/shells of Debian, Alpine and Fedora lists, by name.
const shells = new Set(['sh', 'bash', 'dash', 'ash', 'zsh', 'ksh', 'mksh', 'fish', 'csh', 'tcsh', 'hush'])

/** Whether a command runs what others tell it; a login shell's name begins with a dash. */
export function isShell(argv: readonly string[]): boolean {
  const [program = ''] = argv
  return shells.has(appletOf({ exe: program, argv }) || baseName(program).replace(/^-/, ''))
}

/** Every rule that applies to an exec by what was asked of the engine, the plain one last. */
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

/** The engine runs its health checks with exactly one argv; what differs in another way is not its doing. */
function hasHealthcheckArgv({ container, argv }: ExecObservation): boolean {
  const expected = container.details?.healthcheck?.argv
  return expected?.length === argv.length && argv.every((argument, index) => argument === expected[index])
}
