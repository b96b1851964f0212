import test from 'ava'
import { type AskForList, listContainers } from '../../../../agent/sources/docker/client/listing.ts'
import { AnswerTooLong } from '../../../../agent/sources/docker/client/request.ts'

/** An engine that answers with at most so many containers at a time; `meanwhile` is called before each answer. */
function engineOf(ids: string[], most: number, meanwhile: (asked: number) => void = () => {}) {
  const asked: string[] = []
  const ask: AskForList = async ({ limit, filters }) => {
    const before = filters === undefined ? undefined : (JSON.parse(filters) as { before: string[] }).before[0]
    asked.push(`${limit ?? 'all'}${before === undefined ? '' : ` before ${before}`}`)
    meanwhile(asked.length)
    if (before !== undefined && !ids.includes(before)) return null
    const page = ids
      .slice(before === undefined ? 0 : ids.indexOf(before) + 1)
      .slice(0, Number(limit ?? ids.length))
    if (page.length > most) throw new AnswerTooLong(most)
    return page.map((id) => ({ Id: id }))
  }
  return { ask, asked }
}

const names = (count: number) => Array.from({ length: count }, (_, index) => `c${index}`)

async function idsOf(ask: AskForList): Promise<string[]> {
  return (await listContainers(ask)).map(({ id }) => id)
}

test('a list that fits is asked for once', async (t) => {
  const { ask, asked } = engineOf(names(5), 5)
  t.deepEqual(await idsOf(ask), names(5))
  t.deepEqual(asked, ['all'])
})

test('members that are no containers are left out', async (t) => {
  t.deepEqual(await idsOf(async () => [{ Id: 'a' }, null, 7, ['b'], { Id: 7 }, {}]), ['a'])
})

for (const [count, most] of [
  [200, 150],
  [200, 64],
  [200, 5],
  [16, 1],
  [128, 64],
] as const) {
  test(`${count} containers are listed whole where ${most} fit an answer`, async (t) => {
    t.deepEqual(await idsOf(engineOf(names(count), most).ask), names(count))
  })
}

test('where the last of a page is removed before the next, the list goes on from the one before it', async (t) => {
  const ids = names(100)
  const { ask, asked } = engineOf(ids, 64, (count) => {
    if (count === 3) ids.splice(63, 1)
  })
  t.deepEqual((await idsOf(ask)).toSorted(), names(100).toSorted())
  t.deepEqual(asked, ['all', '64', '64 before c63', '64 before c62'])
})

test('containers that are removed one after another are no reason to give up', async (t) => {
  const ids = names(200)
  const { ask } = engineOf(ids, 1, (count) => {
    if (count > 4 && count % 2 === 0) ids.splice(Math.max(0, (count - 4) / 2 - 1), 1)
  })
  const listed = await idsOf(ask)
  t.deepEqual(
    ids.filter((id) => !listed.includes(id)),
    [],
  )
})

test('containers that are removed all the time end the listing with an error', async (t) => {
  let made = 0
  const ids: string[] = []
  const { ask } = engineOf(ids, 64, () => {
    ids.splice(0, ids.length, ...Array.from({ length: 100 }, () => `c${(made += 1)}`))
  })
  await t.throwsAsync(listContainers(ask), { message: /removed faster than they can be listed/ })
})

test('one container that is longer than an answer may be is an error', async (t) => {
  const { ask, asked } = engineOf(names(2), 0)
  await t.throwsAsync(listContainers(ask), { instanceOf: AnswerTooLong })
  t.deepEqual(asked, ['all', '64', '16', '4', '1'])
})

test('an error of another kind is not asked about again', async (t) => {
  let asked = 0
  const ask: AskForList = async () => {
    asked += 1
    throw new Error('out of luck')
  }
  await t.throwsAsync(listContainers(ask), { message: 'out of luck' })
  t.is(asked, 1)
})
