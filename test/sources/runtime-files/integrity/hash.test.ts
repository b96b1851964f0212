import test from 'ava'
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { readDigest, readFileState } from '../../../../agent/sources/runtime-files/integrity/hash.ts'
import { temporaryFolder } from '../decoy.ts'

test('the state of a file has its identity, mode, owner and digest', async (t) => {
  const path = join(temporaryFolder(t), 'runc')
  // More than one slice, and not a whole number of them.
  const bytes = randomBytes(700_001)
  writeFileSync(path, bytes)
  chmodSync(path, 0o4751)
  const { dev, ino, uid, gid } = statSync(path)
  t.deepEqual(await readFileState(path), {
    device: dev,
    inode: ino,
    sizeBytes: bytes.length,
    mode: 0o4751,
    uid,
    gid,
    sha256: createHash('sha256').update(bytes).digest('hex'),
  })
})

test('an empty file has the digest of no bytes', async (t) => {
  const path = join(temporaryFolder(t), 'runc')
  writeFileSync(path, '')
  t.is(
    (await readFileState(path))?.sha256,
    'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  )
})

test('a symbolic link has the state of its target', async (t) => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'runc'), 'runc')
  symlinkSync('runc', join(folder, 'link'))
  t.deepEqual(await readFileState(join(folder, 'link')), await readFileState(join(folder, 'runc')))
})

test('anything but a regular file has no state and never hangs', async (t) => {
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'directory'))
  execFileSync('mkfifo', [join(folder, 'fifo')])
  symlinkSync('nowhere', join(folder, 'dangling'))
  symlinkSync('circle', join(folder, 'circle'))
  for (const name of ['nothing', 'directory', 'fifo', 'dangling', 'circle', 'fifo/below'])
    t.is(await readFileState(join(folder, name)), null, name)
  t.is(await readFileState('/dev/zero'), null)
})

test('readDigest returns null when the file is no longer in the given state', async (t) => {
  const path = join(temporaryFolder(t), 'dockerd')
  const bytes = randomBytes(700_001)
  writeFileSync(path, bytes)
  const md5 = createHash('md5').update(bytes).digest('hex')
  const fresh = await readFileState(path)
  t.truthy(fresh)
  if (!fresh) return
  t.is(await readDigest(path, fresh, 'md5'), md5)
  t.is(await readDigest(path, { ...fresh, sha256: 'another' }, 'md5'), null)
  await setTimeout(1_100)
  const settled = await readFileState(path)
  t.truthy(settled)
  if (!settled) return
  t.is(await readDigest(path, settled, 'md5'), md5)
  // The same size and time of modification, as an attacker would leave it.
  const { atime, mtime } = statSync(path)
  writeFileSync(path, randomBytes(700_001))
  utimesSync(path, atime, mtime)
  t.is(await readDigest(path, settled, 'md5'), null)
  t.is(await readDigest(join(path, 'below'), settled, 'md5'), null)
})

test('hashing stops when it is aborted', async (t) => {
  const path = join(temporaryFolder(t), 'runc')
  writeFileSync(path, 'runc')
  await t.throwsAsync(readFileState(path, AbortSignal.abort()), { name: 'AbortError' })
})
