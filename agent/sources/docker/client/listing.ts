import type { Container } from '../../../model/container.ts'
import { containerOfListing } from '../inventory/identity.ts'
import { isObject, listOf } from '../../../lib/json-object.ts'
import { ResponseTooLarge } from './request.ts'

/** Calls `GET /containers/json` with this query; null if a container named in the query is gone. */
export type FetchList = (query: Readonly<Record<string, string>>) => Promise<unknown>

/**
 * All containers, running or not; those created during the listing may be missing. If labels make the list exceed the
 * response limit, it is requested in pages: starting an image with a large label many times must not hide the host's
 * containers. Every supported API version has `limit` and the filter `before`
 * (https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerList).
 */
export async function listContainers(fetchList: FetchList): Promise<Container[]> {
  try {
    return containersOf(await fetchList({ all: 'true' }))
  } catch (error) {
    if (!(error instanceof ResponseTooLarge)) throw error
    return await listInPages(fetchList)
  }
}

async function listInPages(fetchList: FetchList): Promise<Container[]> {
  const found = new Map<string, Container>()
  // Where the next page starts: after the last id, or after the one before it if the last was removed meanwhile.
  const passed: string[] = []
  let size = firstPageSize
  for (let retries = 0; retries <= maxRetries;) {
    const containers = await containersOn({ size, before: passed.at(-1) ?? null }, fetchList)
    if (containers === 'too-large') size = Math.ceil(size / 4)
    else if (containers === 'lost') {
      passed.pop()
      retries += 1
    } else {
      for (const container of containers) {
        found.set(container.id, container)
        passed.push(container.id)
      }
      if (containers.length < size) return [...found.values()]
    }
  }
  throw new Error('containers are removed faster than they can be listed')
}

/** Newest first; `before` is the last known id. */
type Page = { size: number; before: string | null }

/** `lost`: the container before which the page starts was removed meanwhile. */
async function containersOn(
  { size, before }: Page,
  fetchList: FetchList,
): Promise<Container[] | 'too-large' | 'lost'> {
  const query = { all: 'true', limit: String(size) }
  const filters = JSON.stringify({ before: [before] })
  try {
    const response = await fetchList(before === null ? query : { ...query, filters })
    return response === null ? 'lost' : containersOf(response)
  } catch (error) {
    if (error instanceof ResponseTooLarge && size > 1) return 'too-large'
    throw error
  }
}

/** Truncates labels entry by entry, so that all of them are never in memory. */
function containersOf(response: unknown): Container[] {
  return listOf(response)
    .filter(isObject)
    .map(containerOfListing)
    .filter(({ id }) => id !== '')
}

const firstPageSize = 64
const maxRetries = 200
