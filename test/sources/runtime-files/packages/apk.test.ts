import test from 'ava'
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { apk, findInApkDatabase } from '../../../../agent/sources/runtime-files/packages/apk.ts'
import { temporaryFolder } from '../decoy.ts'

const sha1 = createHash('sha1').update('runc').digest()
const database = `C:Q1abc=
P:docker-engine
V:26.1.5-r0
F:usr/bin
R:dockerd
a:0:0:755
Z:Q1${createHash('sha1').update('dockerd').digest('base64')}

C:Q1def=
P:runc
V:1.1.12-r3
A:x86_64
F:etc
F:usr
F:usr/bin
R:runc
a:0:0:755
Z:Q1${sha1.toString('base64')}
R:runc-link
F:usr/share
R:runc

P:other
V:2
F:opt
R:dockerd
`

for (const [path, name, version, text] of [
  ['/usr/bin/runc', 'runc', '1.1.12-r3', 'runc'],
  ['/usr/bin/dockerd', 'docker-engine', '26.1.5-r0', 'dockerd'],
  ['/usr/bin/runc-link', 'runc', '1.1.12-r3', null],
  ['/usr/share/runc', 'runc', '1.1.12-r3', null],
  ['/opt/dockerd', 'other', '2', null],
] as const) {
  test(`${path} belongs to ${name}, ${text === null ? 'without' : 'with'} a digest`, (t) => {
    const hex = text === null ? null : createHash('sha1').update(text).digest('hex')
    t.deepEqual(findInApkDatabase(database, path), {
      name,
      version,
      digest: hex === null ? null : { algorithm: 'sha1', hex },
    })
  })
}

test('a file that is not in the database has no owner', (t) => {
  for (const path of ['/usr/sbin/runc', '/usr/bin/crun', '/bin/runc'])
    t.is(findInApkDatabase(database, path), null, path)
  t.is(findInApkDatabase('', '/usr/bin/runc'), null)
})

test('the database is read from its Alpine path, and may be missing', async (t) => {
  const root = temporaryFolder(t)
  t.is(await apk(root).ownerOf('/usr/bin/runc'), null)
  mkdirSync(join(root, 'lib/apk/db'), { recursive: true })
  writeFileSync(join(root, 'lib/apk/db/installed'), database)
  t.like(await apk(root).ownerOf('/usr/bin/runc'), { name: 'runc' })
})
