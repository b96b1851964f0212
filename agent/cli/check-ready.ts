import { Command } from 'commander'
import { messageOf, UserError } from '../lib/errors.ts'
import { addOption, collect, type Flags, resolveConfig } from './options.ts'

/** `tidewatch check-ready`: what a container's health check runs, where there is no curl. */
export function checkReadyCommand(): Command {
  const command = new Command('check-ready').description('ask the daemon on this host whether it is ready')
  addOption(command, '--config.file <file>', 'configuration file, for where it listens')
  addOption(command, '--web.listen-address <address>', 'where it listens', collect)
  return command.action(async (flags: Flags) => {
    const url = readyUrl(resolveConfig(flags).web.listen_addresses[0] ?? '')
    process.stdout.write(await ask(url))
  })
}

/** Where a daemon with this listen address says whether it is ready; one that listens everywhere does so here. */
export function readyUrl(listenAddress: string): string {
  const colon = listenAddress.lastIndexOf(':')
  const host = listenAddress.slice(0, colon)
  const isEverywhere = ['', '0.0.0.0', '[::]'].includes(host)
  return `http://${isEverywhere ? 'localhost' : host}:${listenAddress.slice(colon + 1)}/-/ready`
}

const timeoutMs = 5_000

async function ask(url: string): Promise<string> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) }).catch((error: unknown) => {
    throw new UserError(`no answer from ${url}: ${messageOf(error)}`)
  })
  const text = await answer.text()
  if (!answer.ok) throw new UserError(`${url} answers ${answer.status}: ${text.trim().slice(0, 200)}`)
  return text
}
