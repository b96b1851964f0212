import { isRootUser } from '../../agent/model/container.ts'
import type { ExecFacts } from '../../agent/model/exec-view.ts'
import type { ExecEnded, ExecObservation } from '../../agent/model/observation.ts'
import { clip, quotedCommand } from '../../agent/lib/text.ts'
import { userName } from '../../agent/model/user-name.ts'
import { callerName } from './caller.ts'
import { isShell } from './rules.ts'

/** Who did what to which container, and the result: ``alice ran `id` in web-1 (exit 0 after 0.2 s)``. */
export function execSummary(facts: ExecFacts, exec: ExecObservation, rules: readonly string[]): string {
  const { container, argv } = exec
  const who = callerName(facts.caller)
  const command = commandOf(exec)
  const isInteractive = rules.includes('interactive-shell')
  const isPrivileged = rules.includes('privileged-exec')
  const where = `${isPrivileged ? ' with --privileged' : ''} in ${container.name}`
  const user = runAsPhrase(exec, isInteractive)
  if (hasNotStarted(facts, argv)) {
    const attempt = (isPrivileged ? privilegedCall(facts) : null) ?? `${command}${where}`
    return `${who} tried ${attempt}${withSpace(user)}; it failed (exit ${facts.end?.exitCode})`
  }
  const results = [
    rules.includes('exec-as-root') ? configuredPhrase(exec) : '',
    resultPhrase(exec, facts.end),
  ]
  if (isInteractive && isShell(argv)) {
    return `${who} opened an interactive shell${where}${withSpace(user)}${inParentheses(command, ...results)}`
  }
  return `${who} ran ${command}${isInteractive ? ' interactively' : ''}${where}${inParentheses(user, ...results)}`
}

/** How long an exec ran. */
export function secondsOf(exec: ExecObservation, end: ExecEnded): number {
  return Math.max(0, Math.round(end.time - exec.time)) / 1_000
}

function withSpace(phrase: string): string {
  return phrase === '' ? '' : ` ${phrase}`
}

function inParentheses(...facts: readonly string[]): string {
  const known = facts.filter((fact) => fact !== '')
  return known.length === 0 ? '' : ` (${known.join(', ')})`
}

/** A Docker event has the arguments joined by spaces; they are quoted as they are. */
function commandOf({ argv, exact }: ExecObservation): string {
  if (argv.length === 0) return 'a command'
  return exact ? quotedCommand(argv) : `\`${clip(argv.join(' '), 160)}\``
}

/** Omitted for a command that runs as root in a container that is configured for root. */
function runAsPhrase({ settings, container: { details } }: ExecObservation, isInteractive: boolean): string {
  if (settings === null) return ''
  const isDefaultRoot = isRootUser(settings.user) && details !== null && isRootUser(details.user)
  return isDefaultRoot && !isInteractive ? '' : `as ${userName(settings.user)}`
}

function configuredPhrase({ container: { name, details } }: ExecObservation): string {
  return `${name} is configured for ${userName(details?.user ?? '')}`
}

function resultPhrase(exec: ExecObservation, end: ExecEnded | null): string {
  if (end === null) return ''
  return end.exitCode === null ? 'exited' : `exit ${end.exitCode} after ${secondsOf(exec, end)} s`
}

/**
 * Whether the runtime failed to start the command, with exit code 126 or 127, depending on its version. If the engine
 * does not say so: a shell exits with the same codes when its last command fails, and a program that was seen running
 * did start.
 */
export function hasNotStarted({ end, programs }: ExecFacts, argv: readonly string[]): boolean {
  if (end?.hasFailedToStart) return true
  return (end?.exitCode === 126 || end?.exitCode === 127) && programs.length === 0 && !isShell(argv)
}

/** The caller's own command line, if it is that of a Docker client. */
function privilegedCall({ caller }: ExecFacts): string | null {
  const argv = caller?.process?.argv ?? []
  return argv.includes('--privileged') ? quotedCommand(argv) : null
}
