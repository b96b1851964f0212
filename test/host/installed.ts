import type { Finding } from '../../agent/model/finding.ts'
import { run } from '../support/processes.ts'
import { patience, until } from '../support/until.ts'

// The installed service, as an administrator asks about it.

/** Installs, removes or purges, as an administrator does. */
export async function apt(verb: string, what: string): Promise<void> {
  await run('apt-get', verb, '--yes', '--no-install-recommends', '-o', 'Dpkg::Use-Pty=0', what)
}

/** What systemd knows of the service, by the names of `systemctl show`. */
export async function property(name: string): Promise<string> {
  return (await run('systemctl', 'show', '--property', name, '--value', 'tidewatch')).trim()
}

/** Waits until systemd has started another process and that one has said that it is ready. */
export async function restarted(pid: string): Promise<void> {
  await until(
    async () => {
      const now = await property('MainPID')
      return now !== '0' && now !== pid && (await property('ActiveState')) === 'active'
    },
    // The watchdog's minute is not slower where everything else is.
    15_000 + 120_000 / patience,
  )
}

/** Waits until every source is in its best mode; fails with what each says of itself, and what it said before. */
export async function atTheirBest(): Promise<void> {
  await sourcesSay(/; all \d+ sources at their best;/)
}

/** Waits for what the service's status line says of the sources. */
export async function sourcesSay(what: RegExp): Promise<void> {
  try {
    await until(async () => what.test(await property('StatusText')))
  } catch (cause) {
    const modes = [...(await sourceModes())].map(([source, mode]) => `${source} is up in mode ${mode}`)
    const journal = await run('journalctl', '-u', 'tidewatch', '-o', 'cat', '--no-pager', '-n', '60')
    throw new Error([await property('StatusText'), ...modes, journal].join('\n'), { cause })
  }
}

/** What the command line tells of the findings, all or those of a container. */
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

/** The value of one series of the installed daemon; undefined where there is none. */
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
