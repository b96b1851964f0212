import { isDeepStrictEqual } from 'node:util'
import { messageOf } from '../lib/errors.ts'
import type { Config } from './schema.ts'

/** What came of a reload. */
export type Reloaded =
  | { ok: true; config: Config; changed: readonly string[]; atNextStart: readonly string[] }
  | { ok: false; problems: readonly string[] }

// What a running daemon holds open or is known by: sockets, the store, the engine, its name.
const fixed: readonly (readonly [string, (config: Config) => unknown])[] = [
  ['docker', ({ docker }) => docker],
  ['state_directory', ({ state_directory }) => state_directory],
  ['host_name', ({ host_name }) => host_name],
  ['web', ({ web }) => web],
  ['log.format', ({ log }) => log.format],
]

/** Reads the configuration anew; on any error nothing of it counts, else all that a running daemon can change. */
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
