import { dirname, resolve } from 'node:path'
import { configurationFiles, type ConfigurationLocations } from './configuration-files.ts'
import { tryReadLink, tryRealPath, tryStat } from '../integrity/files.ts'
import { engineProcesses, type EngineProcess } from './engine-processes.ts'
import { runtimePrograms } from './engine-info.ts'
import { type RuntimeFile } from './runtime-file.ts'

export type RuntimeFileSearch = {
  procRoot: string
  /** The engine's answer to `docker info`; another source reports when there is none. */
  engineInfo: () => Promise<unknown>
  /** Configured by the user. */
  extraPaths: readonly string[]
  directories?: Directories
  /** Where to look for the engine's configuration and sockets. */
  configuration?: ConfigurationLocations
}

type Directories = {
  /** Where containerd looks for runtimes before its PATH (`opt` plugin). */
  first: string
  standard: readonly string[]
}

// Vendor packages, static archives, distributions, and where dockerd looks for docker-init.
const defaultDirectories: Directories = {
  first: '/opt/containerd/bin',
  standard: [
    '/usr/local/sbin',
    '/usr/local/bin',
    '/usr/sbin',
    '/usr/bin',
    '/usr/local/libexec/docker',
    '/usr/libexec/docker',
    '/usr/local/lib/docker',
    '/usr/lib/docker',
    // The current revision of the snap.
    '/snap/docker/current/bin',
    '/snap/docker/current/usr/bin',
  ],
}

/**
 * Run by dockerd or containerd without being named in `docker info`, which is not available while the engine is down;
 * the names that start with docker- are from packages before 18.09.
 */
const companions = [
  'dockerd',
  'containerd',
  'containerd-shim',
  'containerd-shim-runc-v1',
  'containerd-shim-runc-v2',
  'docker-init',
  'docker-proxy',
  'docker-runc',
  'docker-containerd',
  'docker-containerd-shim',
]

/**
 * Finds every program that runs when Docker starts a container, and every file that configures the engine; those of
 * Docker-in-Docker are left out.
 */
export async function findRuntimeFiles(search: RuntimeFileSearch): Promise<RuntimeFile[]> {
  const processes = await engineProcesses(search.procRoot)
  const programs = runtimePrograms(await search.engineInfo().catch(() => null))
  const directories = search.directories ?? defaultDirectories
  const executables = processes.map((process) => process.exe).filter((exe) => exe !== '')
  const daemonDirectories = executables.map((exe) => dirname(exe))
  const configured = search.extraPaths.map((path) => resolve(path))
  const missing = configured.filter((path) => !tryStat(path)?.isFile())
  const files = distinctFiles([
    ...configured,
    ...executables,
    ...programs.flatMap((program) => resolveProgram(program, processes, directories)),
    ...[...daemonDirectories, directories.first, ...directories.standard].flatMap((directory) =>
      companions.map((name) => `${directory}/${name}`),
    ),
  ])
  return [
    ...files,
    ...missing.map((path) => ({ kind: 'binary' as const, path, names: [], device: 0, inode: 0 })),
    ...configurationFiles(processes, search.configuration),
  ]
}

/**
 * Finds a runtime that is given as a bare name: the shim searches its own PATH, at whose start containerd has put its
 * own directory.
 */
function resolveProgram(
  program: string,
  processes: readonly EngineProcess[],
  { first, standard }: Directories,
): string[] {
  if (program.includes('/')) return [program]
  const pathsOf = (role: EngineProcess['role']) =>
    processes.filter((process) => process.role === role).map((process) => process.searchPath)
  const inShims = pathsOf('shim').flatMap((path) => firstIn(path, program))
  if (inShims.length > 0) return inShims
  const daemonPaths = [...pathsOf('containerd'), ...pathsOf('dockerd')]
  return firstIn([first, ...daemonPaths.flat(), ...standard], program)
}

function firstIn(directories: readonly string[], program: string): string[] {
  const found = directories.map((directory) => `${directory}/${program}`).find(isExecutable)
  return found === undefined ? [] : [found]
}

function isExecutable(path: string): boolean {
  const stats = tryStat(path)
  return stats !== null && stats.isFile() && (stats.mode & 0o111) !== 0
}

function distinctFiles(candidates: readonly string[]): RuntimeFile[] {
  const byInode = new Map<string, RuntimeFile>()
  for (const candidate of new Set(candidates)) {
    const stats = candidate.startsWith('/') ? tryStat(candidate) : null
    const real = tryRealPath(candidate)
    if (!stats?.isFile() || real === '') continue
    const key = `${stats.dev}:${stats.ino}`
    const known = byInode.get(key)
    const path = known?.path ?? real
    const names = new Set([...(known?.names ?? []), ...linksTo(candidate), real])
    names.delete(path)
    byInode.set(key, { kind: 'binary', path, names: [...names], device: stats.dev, inode: stats.ino })
  }
  return [...byInode.values()]
}

// The kernel follows at most this many symbolic links (path_resolution(7)).
const MAX_LINKS = 40

/** The path itself and every symbolic link on the way from it to the file. */
function linksTo(path: string): string[] {
  const links: string[] = []
  for (let at = path; links.length < MAX_LINKS;) {
    const target = tryReadLink(at)
    if (target === '') break
    links.push(at)
    at = resolve(dirname(at), target)
  }
  return [path, ...links]
}
