import { readdir } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { baseName } from '../../../lib/text.ts'
import { tryRead, tryReadLink, tryStat } from '../integrity/files.ts'

/** A running process of the engine. */
export type EngineProcess = {
  role: 'dockerd' | 'containerd' | 'shim'
  /** Empty when it may not be read or is not a path. */
  exe: string
  /** The directories in which it looks for programs. */
  searchPath: readonly string[]
  /** The configuration file that its arguments name; empty where they name none. */
  configurationFile: string
}

// Reading one process takes about 10 us, so 100 of them stay well below 10 ms.
const PROCESSES_PER_SLICE = 100

/** The engine's own processes, identified by name and by their root directory, which is the host's. */
export async function engineProcesses(procRoot: string): Promise<EngineProcess[]> {
  const pids = (await readdir(procRoot)).filter((name) => /^\d+$/.test(name))
  const found: EngineProcess[] = []
  for (const [index, pid] of pids.entries()) {
    if (index % PROCESSES_PER_SLICE === PROCESSES_PER_SLICE - 1) await setImmediate()
    const role = roleOf(tryRead(`${procRoot}/${pid}/comm`).trimEnd())
    if (role && isInHostRoot(procRoot, pid)) found.push(describe(procRoot, pid, role))
  }
  return found
}

/** The role of a process with this name; the kernel cuts names to 15 characters. */
function roleOf(comm: string): EngineProcess['role'] | null {
  if (/^(containerd-shim|docker-containe)/.test(comm)) return 'shim'
  if (comm === 'containerd') return 'containerd'
  if (comm.startsWith('dockerd')) return 'dockerd'
  return null
}

/**
 * Docker-in-Docker runs a dockerd of its own, in the root directory of its container. Mount namespaces would not
 * distinguish it: a unit with `PrivateTmp=` or `MountFlags=` also has one of its own, with the host's root in it.
 */
function isInHostRoot(procRoot: string, pid: string): boolean {
  const root = tryStat(`${procRoot}/${pid}/root`)
  const hostRoot = tryStat(`${procRoot}/1/root`)
  return root !== null && hostRoot !== null && root.dev === hostRoot.dev && root.ino === hostRoot.ino
}

function describe(procRoot: string, pid: string, role: EngineProcess['role']): EngineProcess {
  const environment = tryRead(`${procRoot}/${pid}/environ`).split('\0')
  const path = environment.find((entry) => entry.startsWith('PATH='))?.slice('PATH='.length) ?? ''
  return {
    role,
    exe: executablePath(tryReadLink(`${procRoot}/${pid}/exe`)),
    searchPath: path.split(':').filter((directory) => directory.startsWith('/')),
    configurationFile: configurationFile(tryRead(`${procRoot}/${pid}/cmdline`).split('\0')),
  }
}

/** `--config-file` of dockerd, `--config` and `-c` of containerd; a relative path is useless without its folder. */
function configurationFile(argv: readonly string[]): string {
  const option = /^--?(?:config-file|config|c)(?:=(.*))?$/
  for (const [index, argument] of argv.entries()) {
    const match = option.exec(argument)
    const path = match?.[1] ?? argv[index + 1] ?? ''
    if (match !== null && path.startsWith('/')) return path
  }
  return ''
}

/** The path in an exe link: after an upgrade, the new file at this path is what runs next. */
function executablePath(link: string): string {
  const path = link.replace(/ \(deleted\)$/, '')
  // A program executed from a bind mount of its own file shows `/`; `memfd:…` is not a path.
  return path.startsWith('/') && baseName(path) !== '' ? path : ''
}
