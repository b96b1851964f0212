import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import type { ProcessTable } from '../../processes/table/table.ts'
import { baseName } from '../../../lib/text.ts'
import { apiSocketsOf } from './api-sockets.ts'

/** The processes of an engine of this host, and the TCP ports that it can be asked at. */
export type Listening = { pids: readonly number[]; ports: readonly number[] }

export type EnginePortsOptions = {
  /** By its name for people (`endpointName`). */
  endpoint: string
  table: Pick<ProcessTable, 'living'>
  procRoot: string
}

/**
 * Asks the kernel, not the engine: of where it listens the engine's API says nothing, and its configuration may have
 * been changed since. The engine is the one that also listens at the endpoint that we ask.
 */
export function enginePorts({ endpoint, table, procRoot }: EnginePortsOptions): Listening {
  const engines = [...table.living()]
    .filter(({ membership, program }) => membership === null && baseName(program().exe) === 'dockerd')
    .map(({ pid }) => ({ pid, ...listeningOf(`${procRoot}/${pid}`) }))
    .filter(isAskedAt(endpoint))
  return {
    pids: engines.map(({ pid }) => pid),
    ports: [...new Set(engines.flatMap(({ ports }) => ports))].toSorted((a, b) => a - b),
  }
}

type Sockets = { ports: readonly number[]; paths: readonly string[] }

function isAskedAt(endpoint: string): (sockets: Sockets) => boolean {
  const paths = apiSocketsOf(endpoint)
  if (paths.length > 0) return (sockets) => sockets.paths.some((path) => paths.includes(path))
  const { hostname, port } = new URL(endpoint)
  // An engine of another host may have the same port.
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

/** The inodes of the sockets that a process has open. */
function socketsOf(directory: string): ReadonlySet<string> {
  const links = orNothing(() => readdirSync(`${directory}/fd`), []).map((fd) =>
    orNothing(() => readlinkSync(`${directory}/fd/${fd}`), ''),
  )
  return new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []))
}

/** Of a line of /proc/PID/net/tcp: `sl local_address rem_address st … inode` (proc_pid_net(5)). */
function portIn(line: string, own: ReadonlySet<string>): number | [] {
  const [, local = '', , state = '', , , , , , inode = ''] = line.trim().split(/\s+/)
  const isListening = state === '0A' && own.has(inode)
  return isListening ? Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16) : []
}

/** Of a line of /proc/PID/net/unix: `Num RefCount Protocol Flags Type St Inode Path`. */
function pathIn(line: string, own: ReadonlySet<string>): string | [] {
  const [, , , flags = '', , , inode = '', path = ''] = line.split(/\s+/)
  return (Number.parseInt(flags, 16) & acceptsConnections) !== 0 && own.has(inode) ? path : []
}

// __SO_ACCEPTCON of linux/net.h
const acceptsConnections = 0x1_0000

function read(file: string): string {
  return orNothing(() => readFileSync(file, 'latin1'), '')
}

/** An engine that ends meanwhile, or that we may not look at, listens nowhere that we know of. */
function orNothing<T>(look: () => T, nothing: T): T {
  try {
    return look()
  } catch {
    return nothing
  }
}
