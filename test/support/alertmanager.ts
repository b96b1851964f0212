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

/** A real Alertmanager (Debian's), alone in its cluster. */
export type Alertmanager = Running & {
  url: string
  alerts: () => Promise<PostedAlert[]>
  remove: () => Promise<void>
}

export type AlertmanagerOptions = {
  /** To start one again where it was. */
  port?: number
  /** Where its silences and what it has notified of are kept; the test removes it. */
  directory?: string
  /** Its configuration, in place of one that has a route for all. */
  content?: string
  /** Who is notified; nobody unless given. */
  webhook?: string
  /** Where it meets the others of its cluster. */
  cluster?: { listen: string; peer: string }
}

/** Starts an Alertmanager that waits a second for a group. */
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
    ...(cluster === undefined ? [] : [`--cluster.peer=${cluster.peer}`, '--cluster.settle-timeout=2s']),
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

function contentFor(webhook: string | undefined): string {
  const notified =
    webhook === undefined ? '' : `, webhook_configs: [{ url: '${webhook}', send_resolved: true }]`
  return `route: { receiver: them, group_by: [...], group_wait: 1s, group_interval: 1s }
receivers: [{ name: them${notified} }]
`
}

/** What Alertmanager's own tool shows: what an operator would see. */
export async function amtoolAlerts(url: string, ...matchers: string[]): Promise<string> {
  return await run('amtool', `--alertmanager.url=${url}`, 'alert', 'query', ...matchers)
}
