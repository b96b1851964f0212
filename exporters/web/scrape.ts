import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Exposition } from '../prometheus/index.ts'

const compress = promisify(gzip)

/** A body as it goes over the wire. */
export type Page = { contentType: string; encoding: 'gzip' | null; body: Buffer }

export type ScrapeHeaders = {
  accept?: string | undefined
  'accept-encoding'?: string | string[] | undefined
  /** Prometheus tells how long it will wait. */
  'x-prometheus-scrape-timeout-seconds'?: string | string[] | undefined
}

/** A scrape that would come too late: whoever asked has gone. */
export class ScrapeTimeout extends Error {
  override name = 'ScrapeTimeout'
}

/**
 * Renders for scrapes. Those that come while one is being rendered get the same: several Prometheus servers that
 * scrape in the same second cost what one does.
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
    // The formats are two; what else a client says in this header must not be kept.
    const accept = (headers.accept ?? '').includes(openMetrics) ? openMetrics : 'text/plain'
    const render = acceptsGzip(String(headers['accept-encoding'] ?? '')) ? compressed : plain
    return await withinTimeout(render(accept), timeoutOf(headers))
  }
}

const openMetrics = 'application/openmetrics-text'

/** Calls that come while one with the same argument is under way share its answer. */
function shared<T>(work: (key: string) => Promise<T>): (key: string) => Promise<T> {
  const underWay = new Map<string, Promise<T>>()
  return (key) => {
    const known = underWay.get(key)
    if (known !== undefined) return known
    const begun = work(key).finally(() => underWay.delete(key))
    underWay.set(key, begun)
    return begun
  }
}

/** RFC 9110, 12.5.3: named, or any, and not with a weight of 0. */
export function acceptsGzip(header: string): boolean {
  const weights = new Map(
    header.split(',').map((part) => {
      const [name = '', weight = ''] = part.split(';').map((text) => text.trim().toLowerCase())
      return [name, Number(/^q=([\d.]+)$/.exec(weight)?.[1] ?? 1)] as const
    }),
  )
  return (weights.get('gzip') ?? weights.get('*') ?? 0) > 0
}

// What is left for the answer to travel, as other exporters leave it.
const travelMs = 500

function timeoutOf(headers: ScrapeHeaders): number {
  const seconds = Number(headers['x-prometheus-scrape-timeout-seconds'])
  if (!(seconds > 0)) return maxTimeoutMs
  return Math.min(maxTimeoutMs, Math.max(seconds * 500, seconds * 1_000 - travelMs))
}

const maxTimeoutMs = 60_000

async function withinTimeout<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new ScrapeTimeout(`not rendered within ${timeoutMs / 1_000} s`)),
      timeoutMs,
    )
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
