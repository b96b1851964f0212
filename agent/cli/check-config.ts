import { configuration } from '../daemon/configuration.ts'
import { Command } from 'commander'
import { formatProblem, type LoadedConfig } from '../config/load.ts'
import { createDockerClient } from '../sources/docker/client/client.ts'
import { endpointOf } from '../sources/docker/client/endpoint.ts'
import { containerOfInspect } from '../sources/docker/inventory/identity.ts'
import { dockerOptions } from '../sources/docker/client/options.ts'
import { UserError } from '../lib/errors.ts'
import { addOption, type Flags } from './options.ts'
import { renderTable } from './table.ts'

type CheckFlags = Flags & { explain?: string }

/** `tidewatch check-config F`: says everything that is wrong with a configuration file, or that it is right. */
export function checkConfigCommand(): Command {
  const command = new Command('check-config')
    .description('validate a configuration file and list everything that is wrong with it')
    .argument('[file]', 'the file; $TIDEWATCH_CONFIG_FILE by default')
    .option('--explain <container>', 'what applies to this container, and from which line')
  addOption(command, '--docker.host <host>', 'unix:///path or tcp://host:port of the Docker Engine')
  return command.action(checkConfig)
}

async function checkConfig(argument: string | undefined, flags: CheckFlags): Promise<void> {
  const file = argument ?? process.env['TIDEWATCH_CONFIG_FILE']
  if (file === undefined) throw new UserError('name the file to check: tidewatch check-config FILE')
  const loaded = configuration.load(file)
  const said =
    flags.explain === undefined
      ? `${file}: the configuration is valid\n`
      : await explained(loaded, file, flags)
  process.stdout.write(expired(loaded, file) + said)
}

/** An entry that has expired is no error, but whoever reads this wants to know. */
function expired({ config, written }: LoadedConfig, file: string): string {
  const now = Date.now()
  return config.policy.allow
    .map(({ until }, index) => {
      if (until === undefined || until >= now) return ''
      const path = ['policy', 'allow', index]
      const line = written([...path, 'until'])?.line ?? 1
      const message = 'has expired and allows nothing any more'
      return `${formatProblem(file, { line, column: 1, path: `policy.allow[${index}].until`, message })}\n`
    })
    .join('')
}

async function explained(loaded: LoadedConfig, file: string, flags: CheckFlags): Promise<string> {
  const { explain: name = '' } = flags
  const { docker } = loaded.config
  const host = flags['docker.host'] ?? docker.host
  const client = createDockerClient(
    endpointOf({ ...dockerOptions({ ...docker, ...(host !== undefined && { host }) }), env: process.env }),
  )
  const inspected = /^[\w.-]+$/.test(name) ? await client.inspectContainer(name) : null
  if (inspected === null) throw new UserError(`the engine at ${client.endpoint} has no container ${name}`)
  const rows = configuration.explain(loaded, file, containerOfInspect(inspected))
  return renderTable(
    ['WHAT', 'VALUE', 'FROM'],
    rows.map(({ key, value, from }) => [key, value, from]),
  )
}
