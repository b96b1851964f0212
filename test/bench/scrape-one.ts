import { registerHooks } from 'node:module'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Worker } from 'node:worker_threads'

// Measures one client library with one number of containers: prints the cost of scrapes as JSON. Started by scrape.ts.

/** Times in milliseconds; `blocked` is how long the loop was blocked in a typical scrape, `worst` in the worst one. */
export type ScrapeCost = {
  format: string
  series: number
  bytes: number
  /** CPU time of the daemon's thread. */
  cpu: number
  median: number
  p90: number
  blocked: number
  worst: number
}

const [library = '', containers = '', rounds = ''] = process.argv.slice(2)
registerHooks({
  resolve: (specifier, context, next) => next(specifier === 'prom-client' ? library : specifier, context),
})
// Imported after the hook is registered, which selects the library.
const { serveWeb } = await import('../../exporters/web/server.ts')
const { runbookPages } = await import('../../exporters/web/runbook-pages.ts')
const { openWebConfig } = await import('../../exporters/web/watched-web-config.ts')
const { busyMetrics } = await import('./busy-metrics.ts')

const metrics = busyMetrics(Number(containers))
const web = await serveWeb({
  addresses: ['127.0.0.1:0'],
  config: openWebConfig,
  expose: metrics.expose,
  isReady: () => true,
  runbooks: runbookPages(),
  statusPage: () => Promise.resolve(''),
})
// In a separate thread, which is not blocked together with the measured loop.
const scraper = new Worker(
  `const { parentPort } = require('node:worker_threads')
   parentPort.on('message', async ({ url, accept }) => {
     const startedAt = performance.now()
     const body = await (await fetch(url, { headers: { accept } })).text()
     parentPort.postMessage({ ms: performance.now() - startedAt, bytes: body.length, series: body.split('\\n').filter((line) => line && line[0] !== '#').length })
   })`,
  { eval: true },
)
const costs: ScrapeCost[] = []
for (const [format, accept] of [
  ['text', 'text/plain'],
  ['OpenMetrics', 'application/openmetrics-text'],
] as const) {
  costs.push(await measure(format, accept))
}
process.stdout.write(JSON.stringify(costs))
await scraper.terminate()
web.close()

async function measure(format: string, accept: string): Promise<ScrapeCost> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  const times: number[] = []
  const cpus: number[] = []
  const blocks: number[] = []
  let last = { ms: 0, bytes: 0, series: 0 }
  for (let round = 0; round < Number(rounds) + 5; round += 1) {
    delay.enable()
    delay.reset()
    const before = process.threadCpuUsage()
    last = await scrape(accept)
    // The measuring timer must fire once more.
    await new Promise((resolve) => setTimeout(resolve, 20))
    // The first rounds include compilation.
    if (round >= 5) {
      const { user, system } = process.threadCpuUsage(before)
      cpus.push((user + system) / 1e3)
      times.push(last.ms)
      blocks.push(delay.max / 1e6)
    }
    delay.disable()
  }
  const at = (values: number[], share: number) =>
    values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0
  return {
    format,
    series: last.series,
    bytes: last.bytes,
    cpu: at(cpus, 0.5),
    median: at(times, 0.5),
    p90: at(times, 0.9),
    blocked: at(blocks, 0.5),
    worst: Math.max(...blocks),
  }
}

function scrape(accept: string): Promise<{ ms: number; bytes: number; series: number }> {
  return new Promise((resolve) => {
    scraper.once('message', resolve)
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    scraper.postMessage({ url: `${web.urls[0]}/metrics`, accept })
  })
}
