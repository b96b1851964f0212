import type { Container } from '../../../model/container.ts'
import { containerOfListing } from '../inventory/identity.ts'
import { isObject, listOf } from '../../../lib/json-object.ts'
import { AnswerTooLong } from './request.ts'

/** Asks `GET /containers/json` with this query; null when a container that the query names is gone. */
export type AskForList = (query: Readonly<Record<string, string>>) => Promise<unknown>

/**
 * All containers, running or not; those that are made meanwhile may be missing. Where labels make the list longer than an
 * answer may be it is asked for in pages, for an image with a large label must not hide a host's containers by being
 * started often. `limit` and the filter `before` are in every version of the API that is spoken
 * (https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerList).
 */
export async function listContainers(ask: AskForList): Promise<Container[]> {
  try {
    return containersOf(await ask({ all: 'true' }))
  } catch (error) {
    if (!(error instanceof AnswerTooLong)) throw error
    return await listInPages(ask)
  }
}

async function listInPages(ask: AskForList): Promise<Container[]> {
  const found = new Map<string, Container>()
  // Where to go on from: where the last one is removed meanwhile, the one before it.
  const passed: string[] = []
  let size = firstPageSize
  for (let losses = 0; losses <= maxLosses;) {
    const containers = await containersOn({ size, before: passed.at(-1) ?? null }, ask)
    if (containers === 'too-long') size = Math.ceil(size / 4)
    else if (containers === 'lost') {
      passed.pop()
      losses += 1
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

/** The newest first; `before` is the id of the last that is known. */
type Page = { size: number; before: string | null }

/** `lost`: the container to go on from was removed meanwhile. */
async function containersOn(
  { size, before }: Page,
  ask: AskForList,
): Promise<Container[] | 'too-long' | 'lost'> {
  const query = { all: 'true', limit: String(size) }
  const filters = JSON.stringify({ before: [before] })
  try {
    const answer = await ask(before === null ? query : { ...query, filters })
    return answer === null ? 'lost' : containersOf(answer)
  } catch (error) {
    if (error instanceof AnswerTooLong && size > 1) return 'too-long'
    throw error
  }
}

/** Their labels are cut as they come in, so that the whole of them is never in memory. */
function containersOf(answer: unknown): Container[] {
  return listOf(answer)
    .filter(isObject)
    .map(containerOfListing)
    .filter(({ id }) => id !== '')
}

const firstPageSize = 64
const maxLosses = 200
