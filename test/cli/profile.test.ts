import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { openDatabase } from '../../agent/store/database.ts'
import { memoryOf } from '../../agent/store/memory.ts'
import { storeFile } from '../../agent/store/store.ts'
import { prepareTables } from '../../agent/store/tables.ts'
import { addProgram, profileOf } from '../../detectors/unexpected-root-process/profile.ts'
import { tidewatch } from '../support/daemon.ts'
import { sampleContainer } from '../support/samples.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

/** A state directory with one image profile, and the command that reads it. */
async function learnedState(t: ExecutionContext) {
  const directory = await temporaryDirectory()
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  await mkdir(directory, { recursive: true })
  const database = openDatabase(join(directory, storeFile))
  const memory = memoryOf(prepareTables(database), 'unexpected-root-process')
  const container = sampleContainer()
  addProgram(memory, container.imageId, profileOf(memory, container, 1_000), '/usr/sbin/nginx')
  database.close()
  return (...args: string[]) => tidewatch('profile', ...args, '--state.directory', directory)
}

test('profiles are listed, shown, approved and forgotten', async (t) => {
  const profile = await learnedState(t)
  t.regex(
    await profile('list'),
    /^IMAGE +STATE +SEEN FOR +PROGRAMS +DIGEST\nnginx:1\.27 +learning +0\.0 h +1 +b{12}\n$/,
  )
  t.regex(await profile('show', 'nginx:1.27'), /\/usr\/sbin\/nginx\n$/)
  t.is(await profile('approve', 'bbbbbbbbbbbb'), 'approved nginx:1.27, 1 programs\n')
  const [listed] = (await profile('list', '--format', 'json')).trim().split('\n')
  t.like(JSON.parse(listed ?? ''), { image: 'nginx:1.27', learned: true, programs: 1 })
  t.is(await profile('forget', 'nginx:1.27'), 'forgot nginx:1.27, 1 programs\n')
  t.is(await profile('list', '--format', 'json'), '')
})

test('an unknown image and a missing store are reported in one line', async (t) => {
  const profile = await learnedState(t)
  await t.throwsAsync(profile('show', 'redis'), { message: /no profile for redis/ })
  await t.throwsAsync(tidewatch('profile', 'list', '--state.directory', '/nonexistent'), {
    message: /\/nonexistent\/findings\.db not found/,
  })
})
