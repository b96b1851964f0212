import test from 'ava'
import { type FetchList, listContainers } from '../../../../agent/sources/docker/client/listing.ts'
import { ResponseTooLarge } from '../../../../agent/sources/docker/client/request.ts'

/** An engine that returns at most `most` containers per response; calls `meanwhile` before each response. */
function engineOf(ids: string[], most: number, meanwhile: (requested: number) => void = () => {}) {
  const requested: string[] = []
  const fetchList: FetchList = async ({ limit, filters }) => {
    const before = filters === undefined ? undefined : (JSON.parse(filters) as { before: string[] }).before[0]
    requested.push(`${limit ?? 'all'}${before === undefined ? '' : ` before ${before}`}`)
    meanwhile(requested.length)
    if (before !== undefined && !ids.includes(before)) return null
    const page = ids
      .slice(before === undefined ? 0 : ids.indexOf(before) + 1)
      .slice(0, Number(limit ?? ids.length))
    if (page.length > most) throw new ResponseTooLarge(most)
    return page.map((id) => ({ Id: id }))
  }
  return { fetchList, requested }
}

const names = (count: number) => Array.from({ length: count }, (_, index) => `c${index}`)

async function idsOf(fetchList: FetchList): Promise<string[]> {
  return (await listContainers(fetchList)).map(({ id }) => id)
}

test('a list that fits is requested once', async (t) => {
  const { fetchList, requested } = engineOf(names(5), 5)
  t.deepEqual(await idsOf(fetchList), names(5))
  t.deepEqual(requested, ['all'])
})

test('entries that are not containers are omitted', async (t) => {
  t.deepEqual(await idsOf(async () => [{ Id: 'a' }, null, 7, ['b'], { Id: 7 }, {}]), ['a'])
})

for (const [count, most] of [
  [200, 150],
  [200, 64],
  [200, 5],
  [16, 1],
  [128, 64],
] as const) {
  test(`${count} containers are listed completely if ${most} fit in a response`, async (t) => {
    t.deepEqual(await idsOf(engineOf(names(count), most).fetchList), names(count))
  })
}

test('if the last container of a page is removed before the next page, the list continues from the one before it', async (t) => {
  const ids = names(100)
  const { fetchList, requested } = engineOf(ids, 64, (count) => {
    if (count === 3) ids.splice(63, 1)
  })
  t.deepEqual((await idsOf(fetchList)).toSorted(), names(100).toSorted())
  t.deepEqual(requested, ['all', '64', '64 before c63', '64 before c62'])
})

test('listing continues although containers are removed one after another', async (t) => {
  const ids = names(200)
  const { fetchList } = engineOf(ids, 1, (count) => {
    if (count > 4 && count % 2 === 0) ids.splice(Math.max(0, (count - 4) / 2 - 1), 1)
  })
  const listed = await idsOf(fetchList)
  t.deepEqual(
    ids.filter((id) => !listed.includes(id)),
    [],
  )
})

test('listing fails if containers are removed constantly', async (t) => {
  let made = 0
  const ids: string[] = []
  const { fetchList } = engineOf(ids, 64, () => {
    ids.splice(0, ids.length, ...Array.from({ length: 100 }, () => `c${(made += 1)}`))
  })
  await t.throwsAsync(listContainers(fetchList), { message: /removed faster than they can be listed/ })
})

test('a single container over the response limit is an error', async (t) => {
  const { fetchList, requested } = engineOf(names(2), 0)
  await t.throwsAsync(listContainers(fetchList), { instanceOf: ResponseTooLarge })
  t.deepEqual(requested, ['all', '64', '16', '4', '1'])
})

test('another error is not retried', async (t) => {
  let requested = 0
  const fetchList: FetchList = async () => {
    requested += 1
    throw new Error('out of luck')
  }
  await t.throwsAsync(listContainers(fetchList), { message: 'out of luck' })
  t.is(requested, 1)
})
