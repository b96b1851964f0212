import type { Container } from '../../../model/container.ts'
import type { ExecSettings } from '../../../model/observation.ts'

/** Whether an exec is the container's health check to the letter; anything an engine would not do, a person did. */
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
