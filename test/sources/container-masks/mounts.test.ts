import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { gatherMounts, readMounts } from '../../../agent/sources/container-masks/mounts.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'

test('the last mount at a place counts, whatever optional fields and escapes stand in its line', (t) => {
  const { add, seen } = gatherMounts(new Set(['/proc/a b', '/x']))
  for (const line of [
    '1 0 0:1 / /x rw - tmpfs tmpfs rw',
    '2 0 0:2 /null /proc/a\\040b rw shared:1 master:2 - tmpfs - ro,size=1',
    '3 0 0:3 / /x rw,nosuid - proc proc ro',
    '4 0 0:3 / /elsewhere rw - tmpfs tmpfs rw',
    'nonsense',
    '',
    '5 0 0:3 / /x',
    '6 0 0:3 / /x rw shared:1',
  ])
    add(line)
  t.deepEqual(
    [...seen().at.values()],
    [
      { at: '/x', root: '/', type: 'proc', readOnly: true },
      { at: '/proc/a b', root: '/null', type: 'tmpfs', readOnly: true },
    ],
  )
})

test('parts of procfs that let write are kept wherever they are, but not without end', (t) => {
  const { add, seen } = gatherMounts(new Set())
  add('1 0 0:1 / /proc rw - proc proc rw')
  add('1 0 0:1 /sys /proc/sys ro - proc proc rw')
  for (let count = 0; count < 1_000; count++) add(`1 0 0:1 /sys /m${count} rw - proc proc rw`)
  t.is(seen().writableProc.length, 64)
  t.is(seen().writableProc[0]?.at, '/m0')
})

test('a hundred thousand mounts are read in pieces that let others have their turn', async (t) => {
  const directory = await temporaryDirectory()
  t.teardown(() => rm(directory, { recursive: true }))
  const file = join(directory, 'mountinfo')
  const lines = Array.from(
    { length: 100_000 },
    (_, index) => `${index} 0 0:9 / /m/${index} rw - tmpfs tmpfs rw`,
  )
  await writeFile(file, [...lines, '7 0 0:9 /null /wanted rw - tmpfs tmpfs rw', ''].join('\n'))
  let turns = 0
  const counting = setInterval(() => turns++, 1)
  t.teardown(() => clearInterval(counting))
  const { at } = await readMounts(file, new Set(['/wanted']))
  t.is(at.get('/wanted')?.root, '/null')
  t.true(turns > 5, String(turns))
})

test('more mounts than anybody reads are an error and not a guess', async (t) => {
  const directory = await temporaryDirectory()
  t.teardown(() => rm(directory, { recursive: true }))
  const file = join(directory, 'mountinfo')
  await writeFile(file, `${'x'.repeat(1_023)}\n`.repeat((1 << 15) + 1))
  await t.throwsAsync(readMounts(file, new Set()), { message: /bytes of mounts/ })
  await writeFile(file, 'x'.repeat(1 << 18))
  await t.throwsAsync(readMounts(file, new Set()), { message: /a mount of more/ })
})
