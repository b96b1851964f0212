import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { tryRealPath, tryStat } from '../integrity/files.ts'
import type { EngineProcess } from './engine-processes.ts'
import type { RuntimeFile } from './runtime-file.ts'

/** Where the engine's configuration files and sockets are: write access to them decides what runs as root. */
export type ConfigurationLocations = {
  files: readonly string[]
  /** Directories of units, each of which may hold any of `units`. */
  unitDirectories: readonly string[]
  units: readonly string[]
  sockets: readonly string[]
}

/** The locations used by packages, static archives and the snap. */
export const configurationLocations: ConfigurationLocations = {
  files: [
    '/etc/docker/daemon.json',
    '/etc/containerd/config.toml',
    '/etc/default/docker',
    '/etc/sysconfig/docker',
    '/etc/init.d/docker',
    '/etc/conf.d/docker',
    '/var/snap/docker/current/config/daemon.json',
  ],
  // In the order in which systemd looks (systemd.unit(5)).
  unitDirectories: [
    '/etc/systemd/system',
    '/run/systemd/system',
    '/usr/local/lib/systemd/system',
    '/usr/lib/systemd/system',
    '/lib/systemd/system',
  ],
  units: ['docker.service', 'docker.socket', 'containerd.service'],
  sockets: ['/run/docker.sock', '/run/containerd/containerd.sock'],
}

// A containerd started by dockerd is given a file that dockerd rewrites at each start.
const writtenByEngine = /^\/(?:var\/)?run\/docker\//

/** The files that configure the engine, including files that do not exist yet if their directory does. */
export function configurationFiles(
  processes: readonly EngineProcess[],
  locations: ConfigurationLocations = { files: [], unitDirectories: [], units: [], sockets: [] },
): RuntimeFile[] {
  const { files, unitDirectories, units, sockets } = locations
  const named = processes.flatMap(({ configurationFile }) =>
    configurationFile === '' || writtenByEngine.test(configurationFile) ? [] : [configurationFile],
  )
  const ofUnits = unitDirectories.flatMap((directory) => units.map((unit) => join(directory, unit)))
  const paths = [...files, ...named, ...ofUnits, ...dropIns(locations)]
  return [
    ...distinct(paths).map((path) => file('configuration', path)),
    ...distinct(sockets.filter((path) => tryStat(path)?.isSocket() === true)).map((path) =>
      file('socket', path),
    ),
  ]
}

/** The drop-in directories of the engine's units (`.conf` files), whether they exist or not. */
export function dropInDirectories({ unitDirectories, units }: ConfigurationLocations): string[] {
  return unitDirectories.flatMap((directory) => units.map((unit) => join(directory, `${unit}.d`)))
}

/** Whether a path is that of a unit's drop-in file. */
export function isDropIn(path: string): boolean {
  return path.endsWith('.conf')
}

function dropIns(locations: ConfigurationLocations): string[] {
  return dropInDirectories(locations).flatMap((directory) => {
    try {
      return readdirSync(directory)
        .filter(isDropIn)
        .map((name) => join(directory, name))
    } catch {
      return []
    }
  })
}

/** One path for each file: /lib is /usr/lib on a merged system, /var/run is /run. */
function distinct(paths: readonly string[]): string[] {
  const real = paths.flatMap((path) => {
    const directory = tryRealPath(join(path, '..'))
    return directory === '' ? [] : [join(directory, path.slice(path.lastIndexOf('/') + 1))]
  })
  return [...new Set(real)]
}

function file(kind: RuntimeFile['kind'], path: string): RuntimeFile {
  const stats = tryStat(path)
  return { kind, path, names: [], device: stats?.dev ?? 0, inode: stats?.ino ?? 0, optional: true }
}
