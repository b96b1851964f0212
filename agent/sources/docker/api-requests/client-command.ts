import type { Container } from '../../../model/container.ts'
import type { ExecObservation } from '../../../model/observation.ts'
import { baseName } from '../../../lib/text.ts'

/** Whether a command line is a Docker CLI command that requests exactly this exec: `docker exec -it web sh`. */
export function commandRequestsExec(
  command: readonly string[],
  { container, argv }: Pick<ExecObservation, 'container' | 'argv'>,
): boolean {
  const program = baseName(command[0] ?? '')
  const at = command.length - argv.length
  const named = command[at - 1] ?? ''
  // Options come between the verb and the container. It does not matter which of them take a value.
  const before = command.slice(1, Math.max(1, at - 1))
  const verb = before.indexOf('exec')
  if (!clients.has(program) || verb === -1 || argv.length === 0) return false
  if (!argv.every((argument, index) => argument === command[at + index])) return false
  const isCompose = program === composeClient || before.slice(0, verb).includes('compose')
  return isNamed(container, named) || (isCompose && named !== '' && named === container.composeService)
}

// Compose is a separate program: a plugin that `docker` runs, formerly standalone.
const composeClient = 'docker-compose'
const clients = new Set(['docker', composeClient])

/** Whether a client's name for a container means this one: its name, or a prefix of its id. */
export function isNamed({ id, name, engineName }: Container, reference: string): boolean {
  return (
    reference !== '' && (names(reference, name) || names(reference, engineName) || id.startsWith(reference))
  )
}

/** The API also accepts a name with a slash before it. */
function names(reference: string, name: string): boolean {
  return reference === name || reference === `/${name}`
}
