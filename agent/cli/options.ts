import { configuration } from '../daemon/configuration.ts'
import { type Command, Option } from 'commander'
import { exitConfiguration, UserError } from '../lib/errors.ts'
import type { Config } from '../config/schema.ts'

/** Flags, which override environment, file and defaults; named as commander stores them. */
export type Flags = {
  'config.file'?: string
  'docker.host'?: string
  'web.listenAddress'?: string[]
  'web.config.file'?: string
  'state.directory'?: string
  'log.level'?: string
  'log.format'?: string
}

/** Adds one dotted option with its environment variable: `--web.listen-address`, `TIDEWATCH_WEB_LISTEN_ADDRESS`. */
export function addOption(
  command: Command,
  flags: string,
  description: string,
  parse?: (value: string, previous: string[] | undefined) => string[],
): Command {
  const name = /^--([\w.-]+)/.exec(flags)?.[1] ?? ''
  const option = new Option(flags, description).env(`TIDEWATCH_${name.replace(/[.-]/g, '_').toUpperCase()}`)
  return command.addOption(parse === undefined ? option : option.argParser<string[] | undefined>(parse))
}

/** Collects a repeated or comma-separated option. */
export function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), ...value.split(',').filter((part) => part !== '')]
}

/** The effective configuration: flags override the environment, the environment the file, the file the defaults. */
export function resolveConfig(flags: Flags): Config {
  const file = flags['config.file']
  const config = file === undefined ? configuration.defaults() : configuration.load(file).config
  return {
    ...config,
    docker: { ...config.docker, ...given({ host: flags['docker.host'] }) },
    ...given({ state_directory: flags['state.directory'] }),
    web: checked('web', '--web.listen-address', {
      ...config.web,
      ...given({ listen_addresses: flags['web.listenAddress'], config_file: flags['web.config.file'] }),
    }),
    log: checked('log', '--log.*', {
      ...config.log,
      ...given({ level: flags['log.level'], format: flags['log.format'] }),
    }),
  }
}

/** Validates command line values with the schema of the configuration file. */
function checked<K extends 'web' | 'log'>(key: K, flag: string, value: unknown): Config[K] {
  const result = configuration.schema.shape[key].safeParse(value)
  if (result.success) return result.data as Config[K]
  const reasons = result.error.issues.map(({ message }) => message.replace('Invalid option: ', ''))
  throw new UserError(`${flag}: ${reasons.join('; ')}`, exitConfiguration)
}

function given<T extends Record<string, unknown>>(values: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never
}
