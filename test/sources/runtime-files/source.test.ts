import test, { type ExecutionContext } from 'ava'
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { linkSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Subject } from 'rxjs'
import type { RuntimeFileChange } from '../../../agent/model/observation.ts'
import { until } from '../../support/until.ts'
import { watchDecoy } from './decoy.ts'

const execute = promisify(execFile)

/** Runs a script in a shell that stays alive until the test ends, so that it can be identified; resolves to its pid. */
async function shell(t: ExecutionContext, folder: string, script: string): Promise<number> {
  const child = spawn('sh', ['-c', `${script}\necho done\nread end`], { cwd: folder })
  t.teardown(() => child.stdin.end())
  for await (const line of createInterface(child.stdout)) if (line === 'done') return child.pid ?? 0
  throw new Error(`the script ended early: ${script}`)
}

const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex')

test('at start the state of every file is reported, then the source is up in its best mode', async (t) => {
  const { path, found, statuses } = await watchDecoy(t)
  const stats = statSync(path)
  t.like(found, [
    {
      path,
      before: null,
      after: { inode: stats.ino, sizeBytes: 11, mode: 0o755, uid: 0, sha256: sha256(path) },
      writer: null,
    },
  ])
  t.like(statuses, [{ up: true, mode: 'fanotify', best: true, reason: '' }])
})

const operations: Record<string, { script: string; change: RuntimeFileChange }> = {
  'a write': { script: 'echo evil > runc', change: 'written' },
  'an append': { script: 'echo evil >> runc', change: 'written' },
  'a write of the same bytes': { script: 'printf "the runtime" > runc', change: 'written' },
  'a write through a hard link': { script: 'ln runc other; echo evil > other', change: 'written' },
  'a write through an open descriptor': {
    script: 'exec 3>>runc; sleep 0.1; echo evil >&3; exec 3>&-',
    change: 'written',
  },
}

for (const [what, { script, change }] of Object.entries(operations)) {
  test(`${what} is reported as ${change} once, by the shell that did it`, async (t) => {
    const decoy = await watchDecoy(t)
    const before = sha256(decoy.path)
    const pid = await shell(t, decoy.folder, script)
    const changes = await decoy.settled(1)
    t.is(changes.length, 1)
    t.like(changes[0], {
      change,
      path: decoy.path,
      before: { sha256: before },
      after: { sha256: sha256(decoy.path) },
      writer: { pid, uid: 0 },
    })
    t.is(changes[0]?.writer?.argv[0], 'sh')
    t.regex(changes[0]?.writer?.exe ?? '', /sh$/)
    t.is(changes[0]?.continued, undefined)
  })
}

// These run a program of their own, which has exited by the time the shell continues.
const shortOperations: Record<string, { script: string; change: RuntimeFileChange }> = {
  truncation: { script: 'truncate -s 3 runc', change: 'written' },
  'a rename over it': { script: 'cp runc new; mv new runc', change: 'replaced' },
  removal: { script: 'rm runc', change: 'removed' },
  'moving it away': { script: 'mv runc away', change: 'removed' },
  'another mode': { script: 'chmod 4755 runc', change: 'attributes' },
  'another owner': { script: 'chown 12 runc', change: 'attributes' },
}

for (const [what, { script, change }] of Object.entries(shortOperations)) {
  test(`${what} is reported as ${change} once, by a process of which at least the pid is known`, async (t) => {
    const decoy = await watchDecoy(t)
    const pid = await shell(t, decoy.folder, script)
    const changes = await decoy.settled(1)
    t.deepEqual(
      changes.map((seen) => seen.change),
      [change],
    )
    // A child of the shell, so one of the next pids.
    t.true((changes[0]?.writer?.pid ?? 0) > pid)
  })
}

test('a writer that exits immediately is identified by its pid', async (t) => {
  const decoy = await watchDecoy(t)
  const { stdout } = await execute('sh', ['-c', 'echo evil > runc; echo $$'], { cwd: decoy.folder })
  const changes = await decoy.settled(1)
  t.is(changes.length, 1)
  t.is(changes[0]?.writer?.pid, Number(stdout))
})

test('a write through a memory map is seen when the file is closed', async (t) => {
  const decoy = await watchDecoy(t)
  const script = `
    import koffi from 'koffi'
    import { openSync, closeSync } from 'node:fs'
    const libc = koffi.load(null)
    const mmap = libc.func('void *mmap(void *, size_t, int, int, int, int64_t)')
    const munmap = libc.func('int munmap(void *, size_t)')
    const fd = openSync(process.argv[1], 'r+')
    const map = mmap(null, 4096, 3, 1, fd, 0)
    koffi.encode(map, 'char', 90)
    munmap(map, 4096)
    closeSync(fd)`
  await execute(process.execPath, ['--input-type=module', '-e', script, decoy.path])
  const changes = await decoy.settled(1)
  t.is(readFileSync(decoy.path, 'utf8'), 'Zhe runtime')
  t.like(changes, [{ change: 'written', after: { sha256: sha256(decoy.path) } }])
  t.is(changes.length, 1)
})

for (const [what, script] of Object.entries({
  'reading it': 'cat runc > /dev/null',
  'running it': './runc || true',
  'opening it for writing': 'true 3>>runc',
  'touching it': 'touch runc',
  'a hard link to it': 'ln runc other',
  'a new file next to it': 'echo new > other; mv other another; rm another',
})) {
  test(`${what} is not a change`, async (t) => {
    const decoy = await watchDecoy(t)
    await shell(t, decoy.folder, script)
    // For simultaneous events the kernel does not say which process changed the attributes and which made a link.
    await setTimeout(1_000)
    await shell(t, decoy.folder, 'chmod 700 runc')
    const changes = await decoy.settled(1)
    t.deepEqual(
      changes.map((seen) => seen.change),
      ['attributes'],
    )
  })
}

// Serial, because only an event loop that is not busy can distinguish writes a few tens of milliseconds apart.
test.serial(
  'a long write is reported when it starts, and the rest of it is marked as continued',
  async (t) => {
    const decoy = await watchDecoy(t)
    await shell(t, decoy.folder, 'for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.05; done > runc')
    const [first, ...rest] = await decoy.settled(2)
    t.like(first, { change: 'written', continued: undefined })
    for (const seen of rest) t.like(seen, { change: 'written', continued: true })
    t.is(rest.at(-1)?.after?.sha256, sha256(decoy.path))
  },
)

test.serial('each write of a process that writes repeatedly is reported', async (t) => {
  const decoy = await watchDecoy(t)
  const pid = await shell(t, decoy.folder, 'for i in 1 2 3 4 5; do echo $i > runc; sleep 0.15; done')
  const changes = await decoy.settled(5)
  t.deepEqual(
    changes.map((seen) => [seen.change, seen.continued, seen.writer?.pid]),
    Array.from({ length: 5 }, () => ['written', undefined, pid]),
  )
})

test('after a replacement the new file is watched', async (t) => {
  const decoy = await watchDecoy(t)
  await shell(t, decoy.folder, 'echo other > new; mv new runc')
  await decoy.settled(1)
  const pid = await shell(t, decoy.folder, 'echo evil >> runc')
  const changes = await decoy.settled(2)
  t.like(changes, [{ change: 'replaced' }, { change: 'written', writer: { pid } }])
})

test('a removed file is watched when it is created again', async (t) => {
  const decoy = await watchDecoy(t)
  rmSync(decoy.path)
  await decoy.settled(1)
  writeFileSync(decoy.path, 'evil')
  await decoy.settled(2)
  writeFileSync(decoy.path, 'evil twice')
  const changes = await decoy.settled(3)
  t.like(changes, [
    { change: 'removed', after: null },
    { change: 'replaced', before: null, after: { sizeBytes: 4 } },
    { change: 'written', after: { sizeBytes: 10 } },
  ])
})

test('a link to the runtime with a new target is reported as a replacement at the path of the link', async (t) => {
  const decoy = await watchDecoy(t, { links: ['docker-runc'] })
  const link = join(decoy.folder, 'docker-runc')
  t.like(decoy.statuses[0], { reason: `${link} does not exist` })
  symlinkSync('runc', link)
  const { folder } = decoy
  const linked = await watchDecoy(t, { find: async () => [fileWithLink(decoy.path, link)] })
  writeFileSync(join(folder, 'evil'), 'evil')
  symlinkSync('evil', join(folder, 'new'))
  renameSync(join(folder, 'new'), link)
  const changes = await linked.settled(1)
  t.like(changes, [{ change: 'replaced', path: link, after: { sizeBytes: 4 }, writer: { pid: process.pid } }])
  t.is(changes.length, 1)
})

function fileWithLink(path: string, link: string) {
  const { dev, ino } = statSync(path)
  return { kind: 'binary' as const, path, names: [link], device: dev, inode: ino }
}

test('replacing the file behind a link is one change', async (t) => {
  const decoy = await watchDecoy(t)
  const link = join(decoy.folder, 'docker-runc')
  symlinkSync('runc', link)
  const linked = await watchDecoy(t, { find: async () => [fileWithLink(decoy.path, link)] })
  await shell(t, decoy.folder, 'echo other > new; mv new runc')
  const changes = await linked.settled(1)
  t.deepEqual(
    changes.map((seen) => [seen.change, seen.path]),
    [['replaced', decoy.path]],
  )
})

test('a configured file that does not exist is reported, and found as soon as it is created', async (t) => {
  const decoy = await watchDecoy(t, { links: ['crun'] })
  t.like(decoy.statuses, [{ best: false, reason: `${join(decoy.folder, 'crun')} does not exist` }])
  writeFileSync(join(decoy.folder, 'crun'), 'crun')
  await until(() => decoy.found.length === 2)
  t.like(decoy.found[1], { path: join(decoy.folder, 'crun'), change: 'found' })
})

test('a triggered search finds new files', async (t) => {
  const refind$ = new Subject<void>()
  const decoy = await watchDecoy(t)
  const files = [fileWithLink(decoy.path, decoy.path)]
  const watched = await watchDecoy(t, { refind$, find: async () => files })
  const other = join(decoy.folder, 'crun')
  writeFileSync(other, 'crun')
  files.push(fileWithLink(other, other))
  refind$.next()
  await until(() => watched.found.some(({ path }) => path === other))
  writeFileSync(other, 'evil')
  const changes = await watched.settled(1)
  t.like(changes, [{ change: 'written', path: other }])
})

test('without any file the status says what to configure', async (t) => {
  const { statuses } = await watchDecoy(t, { find: async () => [] })
  t.like(statuses, [{ up: true, best: false }])
  t.regex(statuses[0]?.reason ?? '', /sources\.runtime_files\.paths/)
})

test('a change without an event is found by the next round', async (t) => {
  const decoy = await watchDecoy(t, { intervalMs: 200, open: silentWatch })
  linkSync(decoy.path, join(decoy.folder, 'other'))
  writeFileSync(join(decoy.folder, 'other'), 'evil')
  const changes = await decoy.settled(1)
  t.like(changes, [{ change: 'written', writer: null, container: null, after: { sizeBytes: 4 } }])
  t.is(changes.length, 1)
})

function silentWatch() {
  return {
    mode: 'fanotify' as const,
    reason: '',
    events$: new Subject<never>(),
    mark: () => '',
    markDirectory: () => {},
    close: () => {},
  }
}

test('a file that cannot be watched is hashed, and the status reports it', async (t) => {
  const decoy = await watchDecoy(t, {
    intervalMs: 200,
    open: () => ({
      ...silentWatch(),
      mark: (path) => `${path} cannot be watched and is only hashed once a minute: no`,
    }),
  })
  t.like(decoy.statuses, [
    { up: true, best: false, reason: `${decoy.path} cannot be watched and is only hashed once a minute: no` },
  ])
  writeFileSync(decoy.path, 'evil')
  t.like(await decoy.settled(1), [{ change: 'written' }])
})

test('a write to a large file is reported before the file is read, and updated afterwards', async (t) => {
  const decoy = await watchDecoy(t)
  writeFileSync(decoy.path, Buffer.alloc(40_000_000, 'x'))
  await decoy.settled(1)
  decoy.changes.length = 0
  await setTimeout(200)
  const pid = await shell(t, decoy.folder, 'echo evil >> runc')
  const changes = await decoy.settled(2)
  t.is(changes.length, 2)
  const [early, update] = changes
  t.like(early, { change: 'written', after: { sha256: '' }, writer: { pid }, isUpdate: undefined })
  t.like(update, {
    change: 'written',
    after: { sha256: sha256(decoy.path) },
    writer: { pid },
    isUpdate: true,
  })
  t.is(early?.time, update?.time)
})
