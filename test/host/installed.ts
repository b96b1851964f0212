import type { Finding } from '../../agent/model/finding.ts'
import { run } from '../support/processes.ts'
import { patience, until } from '../support/until.ts'

// Queries the installed service like an administrator.

/** Installs, removes or purges a package. */
export async function apt(verb: string, what: string): Promise<void> {
  await run('apt-get', verb, '--yes', '--no-install-recommends', '-o', 'Dpkg::Use-Pty=0', what)
}

/** A property of the service, as shown by `systemctl show`. */
export async function property(name: string): Promise<string> {
  return (await run('systemctl', 'show', '--property', name, '--value', 'tidewatch')).trim()
}

/** Waits until systemd has started a new process and that process is ready. */
export async function restarted(pid: string): Promise<void> {
  await until(
    async () => {
      const now = await property('MainPID')
      return now !== '0' && now !== pid && (await property('ActiveState')) === 'active'
    },
    // The watchdog interval is not longer on a slow host.
    15_000 + 120_000 / patience,
  )
}

/** Waits until every source is in its best mode. On failure, the error contains the modes and the log. */
export async function allSourcesAtBest(): Promise<void> {
  await statusMatches(/; all sources up \(\d+\);/)
}

/** Waits until the service's status line matches. */
export async function statusMatches(what: RegExp): Promise<void> {
  try {
    await until(async () => what.test(await property('StatusText')))
  } catch (cause) {
    const modes = [...(await sourceModes())].map(([source, mode]) => `source ${source} is up (mode ${mode})`)
    const journal = await run('journalctl', '-u', 'tidewatch', '-o', 'cat', '--no-pager', '-n', '60')
    throw new Error([await property('StatusText'), ...modes, journal].join('\n'), { cause })
  }
}

/** The findings printed by the command line, all or those of a container. */
export async function findings(container?: string): Promise<Finding[]> {
  const only = container === undefined ? [] : ['--container', container]
  const printed = await run('tidewatch', 'findings', '--format', 'json', ...only)
  return printed
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Finding)
}

/** Waits for the finding of a rule; null is the host. */
export async function found({
  rule,
  container,
}: {
  rule: string
  container: string | null
}): Promise<Finding> {
  return await until(async () =>
    (await findings()).find((one) => one.rule === rule && (one.container?.name ?? null) === container),
  )
}

async function scrape(): Promise<string[]> {
  return (await (await fetch('http://127.0.0.1:15736/metrics')).text()).split('\n')
}

/** The value of one series of the installed daemon; undefined if it does not exist. */
export async function metric(series: string): Promise<number | undefined> {
  const line = (await scrape()).find((text) => text.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length + 1))
}

/** The mode of every source that is up. */
export async function sourceModes(): Promise<Map<string, string>> {
  return new Map(
    (await scrape()).flatMap((line) => {
      const match = /^tidewatch_source_mode\{source="([^"]+)",mode="([^"]+)"\} 1$/.exec(line)
      return match === null ? [] : [[match[1] ?? '', match[2] ?? ''] as const]
    }),
  )
}
