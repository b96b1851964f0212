import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort, type Running, start, whenReady } from './processes.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** A real Prometheus (Debian's) that scrapes one daemon every second. */
export type Prometheus = Running & {
  url: string
  /** Runs an instant query; resolves to label sets and values. */
  query: (expression: string) => Promise<{ metric: Record<string, string>; value: number }[]>
  remove: () => Promise<void>
}

type Answer = {
  status: string
  error?: string
  data: { result: { metric: Record<string, string>; value: [number, string] }[] }
}

/** Starts a Prometheus for the daemon at a URL. */
export async function startPrometheus(target: string): Promise<Prometheus> {
  const directory = await temporaryDirectory()
  const config = {
    global: { scrape_interval: '1s' },
    scrape_configs: [{ job_name: 'tidewatch', static_configs: [{ targets: [hostOf(target)] }] }],
  }
  await writeFile(join(directory, 'prometheus.yml'), JSON.stringify(config))
  return await startPrometheusIn(directory)
}

/** Starts a Prometheus with the configuration in a directory, which is removed when it stops. */
export async function startPrometheusIn(directory: string): Promise<Prometheus> {
  const url = `http://127.0.0.1:${await freePort()}`
  const running = start('prometheus', [
    `--config.file=${join(directory, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(directory, 'data')}`,
    `--web.listen-address=${hostOf(url)}`,
  ])
  await whenReady(running, async () => (await fetch(`${url}/-/ready`)).ok)
  return {
    ...running,
    url,
    query: async (expression) => {
      const response = await fetch(`${url}/api/v1/query`, {
        method: 'POST',
        body: new URLSearchParams({ query: expression }),
      })
      const answer = (await response.json()) as Answer
      if (answer.status !== 'success') throw new Error(`${answer.error}: ${expression}`)
      return answer.data.result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }))
    },
    remove: async () => {
      await running.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** `127.0.0.1:9090` of `http://127.0.0.1:9090`. */
export function hostOf(url: string): string {
  return new URL(url).host
}
