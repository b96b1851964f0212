import { filter, map, type Observable } from 'rxjs'
import { z } from 'zod'
import { isRootUser } from '../agent/model/container.ts'
import { defineDetector, type Observed } from '../agent/model/detector.ts'
import type { Detection } from '../agent/model/finding.ts'
import type { ExecObservation } from '../agent/model/observation.ts'
import { baseName, clip, clipArgv, commandLine } from '../agent/model/text.ts'

/** Who enters a running container through the engine's exec call, and with what rights (MITRE ATT&CK T1609). */
export const execIntoContainer = defineDetector({
  name: 'exec-into-container',
  rules: {
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
  },
  settings: z.strictObject({}),
  detect: ({ execs$ }: Observed): Observable<Detection> =>
    execs$.pipe(
      filter((exec) => !exec.healthcheck),
      map(describeExec),
    ),
})

// Programs that read commands from their input; what /etc/shells of Debian, Alpine and Fedora lists, by name.
const shells = new Set(['sh', 'bash', 'dash', 'ash', 'zsh', 'ksh', 'mksh', 'fish', 'csh', 'tcsh', 'busybox'])

/** Every rule that applies to an exec, the plain one last. */
export function rulesOfExec({ container, settings, argv }: ExecObservation): [string, ...string[]] {
  if (settings === null) return ['exec-command']
  const entersPrivileged = settings.privileged && container.details?.privileged === false
  const entersAsRoot =
    container.details !== null && isRootUser(settings.user) && !isRootUser(container.details.user)
  const hasShellOnInput = settings.openStdin && shells.has(baseName(argv[0] ?? ''))

  const rules: string[] = []
  if (entersPrivileged) rules.push('privileged-exec')
  if (entersAsRoot) rules.push('exec-as-root')
  if (settings.tty || hasShellOnInput) rules.push('interactive-shell')
  const [first, ...others] = [...rules, 'exec-command']
  return [first, ...others]
}

function describeExec(exec: ExecObservation): Detection {
  const { container, settings, argv, execId } = exec
  const [rule, ...also] = rulesOfExec(exec)
  const user = settings === null ? undefined : settings.user || 'root'
  return {
    rule,
    also,
    time: exec.time,
    container,
    summary: `${nameOf(user)} ${phrases[rule] ?? 'ran'} ${clip(commandLine(argv), 160)} in ${container.name}`,
    subject: [baseName(argv[0] ?? ''), settings?.user ?? ''],
    ...(execId === '' ? {} : { act: execId }),
    evidence: {
      argv: clipArgv(argv),
      argv_exact: exec.exact,
      user,
      tty: settings?.tty,
      open_stdin: settings?.openStdin,
      privileged: settings?.privileged,
      configured_user: container.details?.user,
      pid: settings?.pid || undefined,
      exec_id: execId || undefined,
    },
  }
}

/** Root by its name, whether it was given as that or as 0. */
function nameOf(user: string | undefined): string {
  if (user === undefined) return 'somebody'
  return isRootUser(user) ? 'root' : user
}

const phrases: Readonly<Record<string, string>> = {
  'interactive-shell': 'opened an interactive',
  'privileged-exec': 'ran with --privileged',
}
