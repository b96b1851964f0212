import { homedir } from 'node:os'
import { join } from 'node:path'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The directory for findings and other state: the configured one, otherwise the one that systemd created for the unit
 * (`StateDirectory=` in systemd.exec(5)), otherwise the default for root or the user (XDG Base Directory).
 */
export function stateDirectory(
  configured: string | undefined,
  environment: Environment,
  isRoot = process.getuid?.() === 0,
): string {
  if (configured !== undefined) return configured
  // systemd separates multiple directories with colons; ours is the first.
  const fromSystemd = environment['STATE_DIRECTORY']?.split(':', 1)[0]
  if (fromSystemd) return fromSystemd
  if (isRoot) return '/var/lib/tidewatch'
  return join(environment['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'tidewatch')
}
