import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Exposition } from '../prometheus/index.ts'

const compress = promisify(gzip)

/** A response body in its transfer encoding. */
export type Page = { contentType: string; encoding: 'gzip' | null; body: Buffer }

export type ScrapeHeaders = {
  accept?: string | undefined
  'accept-encoding'?: string | string[] | undefined
  /** Prometheus sends its scrape timeout. */
  'x-prometheus-scrape-timeout-seconds'?: string | string[] | undefined
}

/** The scrape would finish after the client's timeout. */
export class ScrapeTimeout extends Error {
  override name = 'ScrapeTimeout'
}

/**
 * Renders metrics for scrapes. Requests that arrive during a rendering share its result, so that several Prometheus
 * servers scraping at the same time cost as much as one.
 */
export function scrapes(expose: (accept: string) => Promise<Exposition>) {
  const plain = shared(async (accept): Promise<Page> => {
    const { contentType, body } = await expose(accept)
    return { contentType, encoding: null, body: Buffer.from(body) }
  })
  const compressed = shared(async (accept): Promise<Page> => {
    const page = await plain(accept)
    return { ...page, encoding: 'gzip', body: await compress(page.body) }
  })

  return async (headers: ScrapeHeaders): Promise<Page> => {
    // There are only two formats. The raw header must not become a key, because the client controls it.
    const accept = (headers.accept ?? '').includes(openMetrics) ? openMetrics : 'text/plain'
    const render = acceptsGzip(String(headers['accept-encoding'] ?? '')) ? compressed : plain
    return await withinTimeout(render(accept), timeoutOf(headers))
  }
}

const openMetrics = 'application/openmetrics-text'

/** Calls share the result of a pending call with the same argument. */
function shared<T>(work: (key: string) => Promise<T>): (key: string) => Promise<T> {
  const pending = new Map<string, Promise<T>>()
  return (key) => {
    const known = pending.get(key)
    if (known !== undefined) return known
    const started = work(key).finally(() => pending.delete(key))
    pending.set(key, started)
    return started
  }
}

/** RFC 9110, 12.5.3: gzip is acceptable if it or `*` is listed with a weight above 0. */
export function acceptsGzip(header: string): boolean {
  const weights = new Map(
    header.split(',').map((part) => {
      const [name = '', weight = ''] = part.split(';').map((text) => text.trim().toLowerCase())
      return [name, Number(/^q=([\d.]+)$/.exec(weight)?.[1] ?? 1)] as const
    }),
  )
  return (weights.get('gzip') ?? weights.get('*') ?? 0) > 0
}

// Time reserved for the network, like in other exporters.
const networkMs = 500

function timeoutOf(headers: ScrapeHeaders): number {
  const seconds = Number(headers['x-prometheus-scrape-timeout-seconds'])
  if (!(seconds > 0)) return maxTimeoutMs
  return Math.min(maxTimeoutMs, Math.max(seconds * 500, seconds * 1_000 - networkMs))
}

const maxTimeoutMs = 60_000

async function withinTimeout<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new ScrapeTimeout(`metrics were not rendered within ${timeoutMs / 1_000} s`)),
      timeoutMs,
    )
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
