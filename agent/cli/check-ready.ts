import { Command } from 'commander'
import { messageOf, UserError } from '../lib/errors.ts'
import { addOption, collect, type Flags, resolveConfig } from './options.ts'

/** `tidewatch check-ready`: a health check for containers, which may have no curl. */
export function checkReadyCommand(): Command {
  const command = new Command('check-ready').description('check whether the daemon on this host is ready')
  addOption(command, '--config.file <file>', 'configuration file, for the listen address')
  addOption(command, '--web.listen-address <address>', 'listen address of the daemon', collect)
  return command.action(async (flags: Flags) => {
    const url = readyUrl(resolveConfig(flags).web.listen_addresses[0] ?? '')
    process.stdout.write(await checkReady(url))
  })
}

/** The readiness URL of a daemon with this listen address; a wildcard address means localhost. */
export function readyUrl(listenAddress: string): string {
  const colon = listenAddress.lastIndexOf(':')
  const host = listenAddress.slice(0, colon)
  const isWildcard = ['', '0.0.0.0', '[::]'].includes(host)
  return `http://${isWildcard ? 'localhost' : host}:${listenAddress.slice(colon + 1)}/-/ready`
}

const timeoutMs = 5_000

async function checkReady(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) }).catch((error: unknown) => {
    throw new UserError(`no response from ${url}: ${messageOf(error)}`)
  })
  const text = await response.text()
  if (!response.ok) throw new UserError(`${url} returned ${response.status}: ${text.trim().slice(0, 200)}`)
  return text
}
