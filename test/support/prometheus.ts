import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryDirectory } from './daemon.ts'
import { freePort, type Running, start, whenReady } from './processes.ts'

/** A real Prometheus (Debian's) that scrapes one daemon every second. */
export type Prometheus = Running & {
  url: string
  /** Runs an instant query; resolves to label sets and values. */
  query: (expression: string) => Promise<{ metric: Record<string, string>; value: number }[]>
  remove: () => Promise<void>
}

type Answer = { data: { result: { metric: Record<string, string>; value: [number, string] }[] } }

/** Starts a Prometheus for the daemon at a URL. */
export async function startPrometheus(target: string): Promise<Prometheus> {
  const directory = await temporaryDirectory()
  const url = `http://127.0.0.1:${await freePort()}`
  const config = join(directory, 'prometheus.yml')
  await writeFile(
    config,
    JSON.stringify({
      global: { scrape_interval: '1s' },
      scrape_configs: [
        { job_name: 'tidewatch', static_configs: [{ targets: [target.slice('http://'.length)] }] },
      ],
    }),
  )
  const running = start('prometheus', [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(directory, 'data')}`,
    `--web.listen-address=${url.slice('http://'.length)}`,
  ])
  await whenReady(running, async () => (await fetch(`${url}/-/ready`)).ok)
  return {
    ...running,
    url,
    query: async (expression) => {
      const response = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(expression)}`)
      const { data } = (await response.json()) as Answer
      return data.result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }))
    },
    remove: async () => {
      await running.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
