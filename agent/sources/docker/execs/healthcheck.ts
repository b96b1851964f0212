import type { Container } from '../../../model/container.ts'
import type { ExecSettings } from '../../../model/observation.ts'

/** Whether an exec matches the container's health check exactly. Any difference means that a client started it. */
export function isHealthcheck(
  container: Container,
  argv: readonly string[],
  settings: ExecSettings | null,
): boolean {
  const details = container.details
  if (details === null || details.healthcheck === null || settings === null) return false
  if (settings.tty || settings.openStdin || settings.privileged || settings.user !== details.user)
    return false
  const expected = details.healthcheck.argv
  return argv.length === expected.length && argv.every((argument, index) => argument === expected[index])
}
