import { chmod, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { openDatabase } from '../../agent/store/database.ts'
import { memoryOf } from '../../agent/store/memory.ts'
import { storeFile } from '../../agent/store/store.ts'
import { prepareTables } from '../../agent/store/tables.ts'
import { readBinary, writeBinary } from '../../detectors/runtime-path-write/known-binaries.ts'
import { removeState, startDaemon, tidewatch } from '../support/daemon.ts'
import { until } from '../support/until.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

/** A state directory with one runtime binary, and the command that reads it. */
async function state(t: ExecutionContext) {
  const directory = await temporaryDirectory()
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const path = join(directory, 'runc')
  await writeFile(path, 'runc')
  const database = openDatabase(join(directory, storeFile))
  t.teardown(() => database.close())
  const memory = memoryOf(prepareTables(database), 'runtime-path-write')
  const known = { manager: 'dpkg', package: 'runc', version: '1.1.5', trust: 'differs', seenAt: 1 } as const
  writeBinary(memory, path, { ...known, sha256: sha256OfRunc, expected: 'a'.repeat(64) })
  return {
    path,
    memory,
    runtime: (...args: string[]) => tidewatch('runtime', ...args, '--state.directory', directory),
  }
}

const sha256OfRunc = '2fdbd0f1b6dd35ab6bf9ba3e8b4fee5eefd3d6fe8d01c7ab2d6d4d5d7b3cd7e9'

// Serial: a daemon would not become ready in time next to four commands.
test.serial('runtime binaries are listed', async (t) => {
  const { path, runtime } = await state(t)
  const lines = (await runtime('list')).split('\n')
  t.regex(lines[0] ?? '', /^PATH +STATE +PACKAGE +VERSION +SHA-256$/)
  t.regex(lines[1] ?? '', new RegExp(`^${path} +differs +runc +1\\.1\\.5 +2fdbd0f1b6dd$`))
  const [json] = (await runtime('list', '--format', 'json')).trim().split('\n')
  t.like(JSON.parse(json ?? ''), { path, state: 'differs', package: 'runc', version: '1.1.5' })
})

test.serial('accept stores the current digest of the file', async (t) => {
  const { path, runtime, memory } = await state(t)
  t.regex(await runtime('accept', path), new RegExp(`^accepted ${path} with SHA-256 [0-9a-f]{64}\\n$`))
  const accepted = memory.get(`accepted/${path}`)
  t.regex(accepted ?? '', /^[0-9a-f]{64}$/)
})

test.serial('a deleted binary is forgotten', async (t) => {
  const { path, runtime, memory } = await state(t)
  await rm(path)
  t.is(await runtime('accept', path), `forgot ${path}, which no longer exists\n`)
  t.is(readBinary(memory, path), null)
})

test.serial('a file that is not a runtime binary and a missing store are reported in one line', async (t) => {
  const { runtime } = await state(t)
  await t.throwsAsync(runtime('accept', '/etc/hostname'), { message: /is not a runtime binary/ })
  await t.throwsAsync(tidewatch('runtime', 'list', '--state.directory', '/nonexistent'), {
    message: /\/nonexistent\/findings\.db not found/,
  })
})

test.serial('a running daemon picks up an accepted digest at once', async (t) => {
  const folder = await temporaryDirectory()
  const path = join(folder, 'runc')
  await writeFile(path, 'runc')
  await chmod(path, 0o755)
  const config = { sources: { runtime_files: { paths: [path] } } }
  const first = await startDaemon({ config })
  const { stateDirectory } = first
  t.teardown(async () => {
    await rm(folder, { recursive: true, force: true })
    await removeState({ stateDirectory })
  })
  const listed = async () =>
    (await tidewatch('runtime', 'list', '--state.directory', stateDirectory)).includes(path)
  await until(listed)
  await first.stop()
  await writeFile(path, 'changed while stopped')
  const second = await startDaemon({ config, stateDirectory })
  t.teardown(() => second.stop())
  const mismatch = () =>
    second
      .findings()
      .find(({ rule, evidence }) => rule === 'runtime-binary-mismatch' && evidence['path'] === path)
  await until(() => mismatch()?.state === 'firing')
  await tidewatch('runtime', 'accept', path, '--state.directory', stateDirectory)
  await until(() => mismatch()?.state === 'resolved')
  t.regex(
    await tidewatch('runtime', 'list', '--state.directory', stateDirectory),
    new RegExp(`${path} +accepted`),
  )
})
