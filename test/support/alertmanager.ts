import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Finding } from '../../agent/model/finding.ts'
import { freePort, run, type Running, start, whenReady } from './processes.ts'
import { temporaryDirectory } from './temporary-directory.ts'
import { until } from './until.ts'

export type PostedAlert = {
  labels: Record<string, string>
  annotations: Record<string, string>
  startsAt: string
  endsAt: string
  status: { state: string }
}

/** A real Alertmanager (Debian's) without cluster peers. */
export type Alertmanager = Running & {
  url: string
  alerts: () => Promise<PostedAlert[]>
  remove: () => Promise<void>
}

export type AlertmanagerOptions = {
  /** To restart an instance on its former port. */
  port?: number
  /** The directory for silences and the notification log; the test removes it. */
  directory?: string
  /** A configuration instead of the default one, which has a single route. */
  content?: string
  /** The notified receiver; none by default. */
  webhook?: string
  /** The cluster address. */
  cluster?: { listen: string; peer: string }
}

/** Starts an Alertmanager with a `group_wait` of one second. */
export async function startAlertmanager(options: AlertmanagerOptions = {}): Promise<Alertmanager> {
  const { port, webhook, cluster } = options
  const directory = options.directory ?? (await temporaryDirectory())
  const url = `http://127.0.0.1:${port ?? (await freePort())}`
  const config = join(directory, 'alertmanager.yml')
  await writeFile(config, options.content ?? contentFor(webhook))
  const running = start('prometheus-alertmanager', [
    `--config.file=${config}`,
    `--storage.path=${directory}`,
    `--web.listen-address=${url.slice('http://'.length)}`,
    `--cluster.listen-address=${cluster?.listen ?? ''}`,
    // An instance that has not found its peer yet notifies on its own, which a busy machine makes likely.
    ...(cluster === undefined ? [] : [`--cluster.peer=${cluster.peer}`, '--cluster.settle-timeout=10s']),
  ])
  await whenReady(running, async () => (await fetch(`${url}/-/ready`)).ok)
  return {
    ...running,
    url,
    alerts: async () => (await (await fetch(`${url}/api/v2/alerts`)).json()) as PostedAlert[],
    remove: async () => {
      await running.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Waits until it has the alert of a finding. */
export async function alertOf(
  { alerts }: Pick<Alertmanager, 'alerts'>,
  { id }: Pick<Finding, 'id'>,
): Promise<PostedAlert> {
  return await until(async () => (await alerts()).find(({ annotations }) => annotations['finding_id'] === id))
}

/** Each alert is notified by itself; without a receiver one group is enough, and flushing thousands takes long. */
function contentFor(webhook: string | undefined): string {
  const [groups, notified] =
    webhook === undefined
      ? ['', '']
      : ['group_by: [...], ', `, webhook_configs: [{ url: '${webhook}', send_resolved: true }]`]
  return `route: { receiver: them, ${groups}group_wait: 1s, group_interval: 1s }
receivers: [{ name: them${notified} }]
`
}

/** The output of amtool, as an operator would see it. */
export async function amtoolAlerts(url: string, ...matchers: string[]): Promise<string> {
  return await run('amtool', `--alertmanager.url=${url}`, 'alert', 'query', ...matchers)
}
