import { isDeepStrictEqual } from 'node:util'
import { messageOf } from '../lib/errors.ts'
import type { Config } from './schema.ts'

/** The result of a reload. */
export type Reloaded =
  | { ok: true; config: Config; changed: readonly string[]; atNextStart: readonly string[] }
  | { ok: false; problems: readonly string[] }

// What a running daemon cannot change: its sockets, store, engine and name.
const fixed: readonly (readonly [string, (config: Config) => unknown])[] = [
  ['docker', ({ docker }) => docker],
  ['state_directory', ({ state_directory }) => state_directory],
  ['host_name', ({ host_name }) => host_name],
  ['web', ({ web }) => web],
  ['log.format', ({ log }) => log.format],
]

/** Reads the configuration again. An error changes nothing; otherwise all settings that can change at run time do. */
export function reload(inUse: Config, load: () => Config): Reloaded {
  let next: Config
  try {
    next = load()
  } catch (error) {
    return { ok: false, problems: messageOf(error).split('\n') }
  }
  const atNextStart = fixed.filter(([, of]) => !isDeepStrictEqual(of(inUse), of(next))).map(([name]) => name)
  const { docker, state_directory, host_name, web, log } = inUse
  const config: Config = {
    ...next,
    docker,
    state_directory,
    host_name,
    web,
    log: { ...next.log, format: log.format },
  }
  const changed = Object.keys(config).filter((key) => {
    const section = key as keyof Config
    return !isDeepStrictEqual(inUse[section], config[section])
  })
  return { ok: true, config, changed, atNextStart }
}
