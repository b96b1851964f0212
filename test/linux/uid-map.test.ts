import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { mapUid, parseUidMap, uidMaps } from '../../agent/linux/uid-map.ts'
import { fakeProc } from '../sources/processes/fake-proc.ts'

const remapped = '         0     100000      65536\n     70000     300000          1\n'

const uids: [what: string, uid: number, inside: number][] = [
  ['root of a remapped container', 100_000, 0],
  ['a user of a remapped container', 101_000, 1_000],
  ['the last id of an extent', 165_535, 65_535],
  ['an id of a second extent', 300_000, 70_000],
  ['the host’s root, which is unmapped', 0, 65_534],
  ['an id past an extent', 165_536, 65_534],
]

for (const [what, uid, inside] of uids) {
  test(`${what} is ${inside} inside`, (t) => {
    t.is(mapUid(uid, parseUidMap(remapped)), inside)
  })
}

test('without a map an id stays the same, and malformed lines are skipped', (t) => {
  t.is(mapUid(1_000, undefined), 1_000)
  t.deepEqual(parseUidMap('x y z\n0 1\n\n0 -1 x\n-10 0 4294967295'), [])
})

test('a namespace’s map stays cached after the process it was read from has exited', async (t) => {
  const { root } = await fakeProc(t)
  await mkdir(join(root, '42'))
  await writeFile(join(root, '42/uid_map'), remapped)
  const maps = uidMaps(root, 3)
  maps.learn(99, 41)
  maps.learn(99, 42)
  await rm(join(root, '42'), { recursive: true })
  maps.learn(99, 42)
  t.is(maps.inNamespace(100_000, 99), 0)
  t.is(maps.inNamespace(100_000, 3), 100_000)
})
