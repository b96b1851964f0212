import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { collectMounts, readMounts } from '../../../agent/sources/container-masks/mounts.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'

test('the last mount on a path counts, whatever optional fields and escapes its line has', (t) => {
  const { add, seen } = collectMounts(new Set(['/proc/a b', '/x']))
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
  t.like(
    [...seen().at.values()],
    [
      { mountPoint: '/x', root: '/', type: 'proc', readOnly: true },
      { mountPoint: '/proc/a b', root: '/null', type: 'tmpfs', readOnly: true },
    ],
  )
})

test('writable procfs subtrees are collected at any path, up to a limit', (t) => {
  const { add, seen } = collectMounts(new Set())
  add('1 0 0:1 / /proc rw - proc proc rw')
  add('1 0 0:1 /sys /proc/sys ro - proc proc rw')
  for (let count = 0; count < 1_000; count++) add(`1 0 0:1 /sys /m${count} rw - proc proc rw`)
  t.is(seen().writableProc.length, 64)
  t.is(seen().writableProc[0]?.mountPoint, '/m0')
})

test('a hundred thousand mounts are read in chunks that do not block the event loop', async (t) => {
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

test('too many mounts are an error, not a guess', async (t) => {
  const directory = await temporaryDirectory()
  t.teardown(() => rm(directory, { recursive: true }))
  const file = join(directory, 'mountinfo')
  await writeFile(file, `${'x'.repeat(1_023)}\n`.repeat((1 << 15) + 1))
  await t.throwsAsync(readMounts(file, new Set()), { message: /bytes of mounts/ })
  await writeFile(file, 'x'.repeat(1 << 18))
  await t.throwsAsync(readMounts(file, new Set()), { message: /a mount of more/ })
})
