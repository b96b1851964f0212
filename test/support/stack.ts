import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { type Alertmanager, startAlertmanager } from './alertmanager.ts'
import { type Daemon, removeState, startDaemon } from './daemon.ts'
import { hostOf, type Prometheus, startPrometheusIn } from './prometheus.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const root = join(import.meta.dirname, '../..')
const text = (path: string) => readFileSync(join(root, path), 'utf8')

/** The properties of compose.yaml that tests use. */
export type Compose = {
  services: Record<
    string,
    {
      image: string
      command?: string[]
      volumes: string[]
      ports: string[]
      configs?: { source: string; target: string }[]
    }
  >
  configs: { tidewatch: { content: string } }
  volumes: Record<string, unknown>
}

/** The shipped compose.yaml. */
export const compose = parse(text('compose.yaml')) as Compose

/** The daemon, Debian's Prometheus and Debian's Alertmanager. */
export type Stack = { daemon: Daemon; prometheus: Prometheus; alertmanager: Alertmanager }

/** Starts the services of compose.yaml with the same files. Only the addresses differ, which are in separate files. */
export async function startStack(undo: (() => Promise<unknown>)[]): Promise<Stack> {
  const alertmanager = await startAlertmanager({ content: text('exporters/alertmanager/alertmanager.yml') })
  undo.push(alertmanager.remove)
  const config = compose.configs.tidewatch.content.replace('http://alertmanager:9093', alertmanager.url)
  const daemon = await startDaemon({ config: parse(config) as object })
  undo.push(async () => {
    await daemon.stop()
    await removeState(daemon)
  })
  const directory = await temporaryDirectory()
  for (const path of ['prometheus.yml', 'rules', 'targets']) {
    cpSync(join(root, 'exporters/prometheus', path), join(directory, path), { recursive: true })
  }
  const targets = { tidewatch: daemon.url, alertmanager: alertmanager.url }
  for (const [name, url] of Object.entries(targets)) {
    writeFileSync(join(directory, 'targets', `${name}.yml`), JSON.stringify([{ targets: [hostOf(url)] }]))
  }
  const prometheus = await startPrometheusIn(directory)
  undo.push(prometheus.remove)
  return { daemon, prometheus, alertmanager }
}
