import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryDirectory } from './daemon.ts'
import { freePort, run, type Running, start, whenReady } from './processes.ts'

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

const notifiesNobody = 'route: { receiver: nobody, group_wait: 1s }\nreceivers: [{ name: nobody }]\n'

/** Starts an Alertmanager that notifies nobody unless told otherwise; `port` to start one again where it was. */
export async function startAlertmanager(port?: number, content = notifiesNobody): Promise<Alertmanager> {
  const directory = await temporaryDirectory()
  const url = `http://127.0.0.1:${port ?? (await freePort())}`
  const config = join(directory, 'alertmanager.yml')
  await writeFile(config, content)
  const running = start('prometheus-alertmanager', [
    `--config.file=${config}`,
    `--storage.path=${directory}`,
    `--web.listen-address=${url.slice('http://'.length)}`,
    '--cluster.listen-address=',
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

/** What Alertmanager's own tool shows: what an operator would see. */
export async function amtoolAlerts(url: string, ...matchers: string[]): Promise<string> {
  return await run('amtool', `--alertmanager.url=${url}`, 'alert', 'query', ...matchers)
}
