import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import type { ProcessTable } from '../../processes/table/table.ts'
import { baseName } from '../../../lib/text.ts'
import { apiSocketsOf } from './api-sockets.ts'

/** The processes of this host's engine, and the TCP ports that it listens on. */
export type EngineListeners = { pids: readonly number[]; ports: readonly number[] }

export type EnginePortsOptions = {
  /** Its display name (`endpointName`). */
  endpoint: string
  table: Pick<ProcessTable, 'living'>
  procRoot: string
}

/**
 * Reads the ports from the kernel: the engine's API does not report where it listens, and its configuration may have
 * changed since its start. The engine is the dockerd that also listens on the configured endpoint.
 */
export function enginePorts({ endpoint, table, procRoot }: EnginePortsOptions): EngineListeners {
  const engines = [...table.living()]
    .filter(({ membership, program }) => membership === null && baseName(program().exe) === 'dockerd')
    .map(({ pid }) => ({ pid, ...listeningOf(`${procRoot}/${pid}`) }))
    .filter(listensAt(endpoint))
  return {
    pids: engines.map(({ pid }) => pid),
    ports: [...new Set(engines.flatMap(({ ports }) => ports))].toSorted((a, b) => a - b),
  }
}

type Sockets = { ports: readonly number[]; paths: readonly string[] }

function listensAt(endpoint: string): (sockets: Sockets) => boolean {
  const paths = apiSocketsOf(endpoint)
  if (paths.length > 0) return (sockets) => sockets.paths.some((path) => paths.includes(path))
  const { hostname, port } = new URL(endpoint)
  // An engine on another host may use the same port.
  const isHere = /^(?:127\..*|localhost|\[::1\])$/.test(hostname)
  return ({ ports }) => isHere && ports.includes(Number(port))
}

function listeningOf(directory: string): Sockets {
  const own = socketsOf(directory)
  const lines = (name: string) => read(`${directory}/net/${name}`).split('\n').slice(1)
  return {
    ports: [...lines('tcp'), ...lines('tcp6')].flatMap((line) => portIn(line, own)),
    paths: lines('unix').flatMap((line) => pathIn(line, own)),
  }
}

/** The inodes of a process's open sockets. */
function socketsOf(directory: string): ReadonlySet<string> {
  const links = orDefault(() => readdirSync(`${directory}/fd`), []).map((fd) =>
    orDefault(() => readlinkSync(`${directory}/fd/${fd}`), ''),
  )
  return new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []))
}

/** Parses a line of /proc/PID/net/tcp: `sl local_address rem_address st … inode` (proc_pid_net(5)). */
function portIn(line: string, own: ReadonlySet<string>): number | [] {
  const [, local = '', , state = '', , , , , , inode = ''] = line.trim().split(/\s+/)
  const isListening = state === '0A' && own.has(inode)
  return isListening ? Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16) : []
}

/** Parses a line of /proc/PID/net/unix: `Num RefCount Protocol Flags Type St Inode Path`. */
function pathIn(line: string, own: ReadonlySet<string>): string | [] {
  const [, , , flags = '', , , inode = '', path = ''] = line.split(/\s+/)
  return (Number.parseInt(flags, 16) & acceptsConnections) !== 0 && own.has(inode) ? path : []
}

// __SO_ACCEPTCON in linux/net.h
const acceptsConnections = 0x1_0000

function read(file: string): string {
  return orDefault(() => readFileSync(file, 'latin1'), '')
}

/** An engine that exits meanwhile, or that we may not inspect, has no known ports. */
function orDefault<T>(attempt: () => T, fallback: T): T {
  try {
    return attempt()
  } catch {
    return fallback
  }
}
