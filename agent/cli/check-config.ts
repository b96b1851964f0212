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

/** `tidewatch check-config FILE`: lists everything wrong with a configuration file, or reports that it is valid. */
export function checkConfigCommand(): Command {
  const command = new Command('check-config')
    .description('validate a configuration file and list all errors')
    .argument('[file]', 'configuration file (default: $TIDEWATCH_CONFIG_FILE)')
    .option(
      '--explain <container>',
      'show the settings that apply to this container, and the line each comes from',
    )
  addOption(command, '--docker.host <host>', 'Docker Engine: unix:///path or tcp://host:port')
  return command.action(checkConfig)
}

async function checkConfig(argument: string | undefined, flags: CheckFlags): Promise<void> {
  const file = argument ?? process.env['TIDEWATCH_CONFIG_FILE']
  if (file === undefined) throw new UserError('no configuration file given: tidewatch check-config FILE')
  const loaded = configuration.load(file)
  const output =
    flags.explain === undefined
      ? `${file}: the configuration is valid\n`
      : await explainTable(loaded, file, flags)
  process.stdout.write(expiredEntries(loaded, file) + output)
}

/** Lists expired policy entries: not an error, but worth knowing. */
function expiredEntries({ config, written }: LoadedConfig, file: string): string {
  const now = Date.now()
  return config.policy.allow
    .map(({ until }, index) => {
      if (until === undefined || until >= now) return ''
      const path = ['policy', 'allow', index]
      const line = written([...path, 'until'])?.line ?? 1
      const message = 'has expired and no longer allows anything'
      return `${formatProblem(file, { line, column: 1, path: `policy.allow[${index}].until`, message })}\n`
    })
    .join('')
}

async function explainTable(loaded: LoadedConfig, file: string, flags: CheckFlags): Promise<string> {
  const { explain: name = '' } = flags
  const { docker } = loaded.config
  const host = flags['docker.host'] ?? docker.host
  const client = createDockerClient(
    endpointOf({ ...dockerOptions({ ...docker, ...(host !== undefined && { host }) }), env: process.env }),
  )
  const inspected = /^[\w.-]+$/.test(name) ? await client.inspectContainer(name) : null
  if (inspected === null) throw new UserError(`no container ${name} at ${client.endpoint}`)
  const rows = configuration.explain(loaded, file, containerOfInspect(inspected))
  return renderTable(
    ['SETTING', 'VALUE', 'FROM'],
    rows.map(({ key, value, from }) => [key, value, from]),
  )
}
