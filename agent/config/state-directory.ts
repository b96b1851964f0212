import { homedir } from 'node:os'
import { join } from 'node:path'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Where findings and the cursor are kept: what was configured, else what systemd made for the unit
 * (`StateDirectory=` in systemd.exec(5)), else root's or the user's usual place (XDG Base Directory).
 */
export function stateDirectory(
  configured: string | undefined,
  environment: Environment,
  isRoot = process.getuid?.() === 0,
): string {
  if (configured !== undefined) return configured
  // systemd separates several directories by colons; ours is the first.
  const fromSystemd = environment['STATE_DIRECTORY']?.split(':', 1)[0]
  if (fromSystemd) return fromSystemd
  if (isRoot) return '/var/lib/tidewatch'
  return join(environment['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'tidewatch')
}
