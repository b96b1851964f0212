import type { Container } from '../../../model/container.ts'
import type { ExecObservation } from '../../../model/observation.ts'
import { baseName } from '../../../lib/text.ts'

/** Whether a command line is a Docker client's that asks for just this exec: `docker exec -it web sh`. */
export function commandAsksFor(
  command: readonly string[],
  { container, argv }: Pick<ExecObservation, 'container' | 'argv'>,
): boolean {
  const program = baseName(command[0] ?? '')
  const at = command.length - argv.length
  const named = command[at - 1] ?? ''
  // Options stand between the verb and the container; which of them take a value need not be known.
  const before = command.slice(1, Math.max(1, at - 1))
  const verb = before.indexOf('exec')
  if (!clients.has(program) || verb === -1 || argv.length === 0) return false
  if (!argv.every((argument, index) => argument === command[at + index])) return false
  const isCompose = program === composeClient || before.slice(0, verb).includes('compose')
  return isNamed(container, named) || (isCompose && named !== '' && named === container.composeService)
}

// Compose is a program of its own: as a plugin that `docker` runs, and before that by itself.
const composeClient = 'docker-compose'
const clients = new Set(['docker', composeClient])

/** Whether a client's word for a container is this one: its name, or the beginning of its id. */
export function isNamed(container: Container, word: string): boolean {
  const { id, name, labels } = container
  // A task of Swarm is known here without the last part of its name.
  const taskName = labels['com.docker.swarm.task.name'] ?? ''
  const isTask = word === taskName && taskName.startsWith(`${name}.`)
  return word !== '' && (word === name || word === `/${name}` || id.startsWith(word) || isTask)
}
