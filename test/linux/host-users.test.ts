import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { hostUsers, parsePasswd } from '../../agent/linux/host-users.ts'

test('users are read from passwd; the first name of a uid counts, and malformed lines are skipped', (t) => {
  const text =
    'root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:\n\n#x\n+::::::\nalice:x:1000:1000::/:\nbad:x:ten:1::/:\n:x:5:5::/:'
  t.deepEqual(
    [...parsePasswd(text)],
    [
      [0, 'root'],
      [1_000, 'alice'],
    ],
  )
})

test('a user without a name is shown as a number until the file has one', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'tidewatch-users-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const path = join(directory, 'passwd')
  const users = hostUsers(path)
  t.is(users.nameOf(1_000), '1000')
  await writeFile(path, 'alice:x:1000:1000::/:\n')
  t.is(users.nameOf(1_000), 'alice')
  await writeFile(path, 'alice:x:1000:1000::/:\nbob:x:1001:1001::/:\n')
  t.is(users.nameOf(1_001), 'bob')
  await rm(path)
  t.is(users.nameOf(1_001), 'bob')
})
