import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { NEVER } from 'rxjs'
import { containerMasks } from '../../../agent/sources/container-masks/source.ts'
import type { Container } from '../../../agent/model/container.ts'
import type { MaskObservation, Observation, SourceStatus } from '../../../agent/model/observation.ts'
import { sampleContainer } from '../../support/samples.ts'
import { until } from '../../support/until.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'
import { defaultMasks, fixture } from './samples.ts'

const startedAt = Date.UTC(2026, 10, 23)

/** A source over a fake /proc, with containers that a test adds and tampers with. */
async function watched(
  t: ExecutionContext,
  info: Readonly<Record<string, unknown>> = { SecurityOptions: ['name=seccomp'] },
) {
  const root = await temporaryDirectory()
  t.teardown(() => rm(root, { recursive: true }))
  const procRoot = join(root, 'proc')
  for (const name of ['acpi', 'keys', 'timer_list', 'bus', 'fs', 'irq', 'sys'])
    await mkdir(join(procRoot, name), { recursive: true })
  await mkdir(join(root, 'sys/firmware'), { recursive: true })
  const running: Container[] = []
  const seen: Observation[] = []
  let time = startedAt + 100
  const source = containerMasks({
    containers: { get: () => undefined, all: () => running, running: () => running },
    engineInfo: async () => info,
    unsure$: NEVER,
    procRoot,
    sysRoot: join(root, 'sys'),
    now: () => time,
    tickMs: 10,
  })
  const subscription = source.observe().subscribe((one) => seen.push(one))
  t.teardown(() => subscription.unsubscribe())

  /** `files` exist before the container is known. */
  async function add(
    pid: number,
    details: Partial<Container['details']> = {},
    files: Record<string, string> = {},
  ) {
    const id = pid.toString(16).padStart(64, '0')
    await mkdir(join(procRoot, String(pid), 'attr'), { recursive: true })
    await write(pid, 'cgroup', `3:pids:/docker/${id}\n`)
    await write(pid, 'mountinfo', fixture('normal'))
    await write(pid, 'status', 'Name:\tapp\nSeccomp:\t2\n')
    for (const [name, text] of Object.entries(files)) await write(pid, name, text)
    const container = sampleContainer({
      id,
      name: `c${pid}`,
      details: { ...defaultMasks, pid, startedAt, ...details },
    })
    running.push(container)
    return container
  }
  /** Replaces the file atomically: a check may read it at any time. */
  async function write(pid: number, name: string, text: string) {
    const path = join(procRoot, String(pid), name)
    await writeFile(`${path}.new`, text)
    await rename(`${path}.new`, path)
  }
  return {
    add,
    write,
    running,
    procRoot,
    forward: (ms: number) => void (time += ms),
    of: ({ name }: Container) =>
      seen.filter((one): one is MaskObservation => one.kind === 'masks' && one.container.name === name),
    statuses: () => seen.filter((one): one is SourceStatus => one.kind === 'source-status'),
  }
}

test('a container is reported intact once, and again as soon as something is missing', async (t) => {
  const { add, of, write, forward } = await watched(t)
  const web = await add(200)
  await until(() => of(web).length === 1)
  t.like(of(web)[0], { state: 'intact', missing: [], pid: 200 })
  await write(
    200,
    'mountinfo',
    fixture('normal', (text) => `${text}9 114 0:53 /sysrq-trigger /proc/keys rw - proc proc rw\n`),
  )
  forward(1_000)
  await until(() => of(web).length === 2)
  t.like(of(web)[1], {
    state: 'missing',
    missing: [{ path: '/proc/keys', found: 'proc from /sysrq-trigger, writable' }],
  })
  await write(200, 'mountinfo', fixture('normal'))
  forward(300_000)
  await until(() => of(web).length === 3)
  t.is(of(web)[2]?.state, 'intact')
})

test('a path created later needs no mask, and a path that had a mask does', async (t) => {
  const { add, of, write, forward, procRoot } = await watched(t)
  const web = await add(200)
  await until(() => of(web).length === 1)
  await mkdir(join(procRoot, 'asound'))
  forward(1_000)
  await write(
    200,
    'mountinfo',
    fixture('normal', (text) => text.replace(/^.* \/proc\/acpi .*$/m, '')),
  )
  forward(300_000)
  await until(() => of(web).length === 2)
  t.deepEqual(
    of(web)[1]?.missing.map(({ path }) => path),
    ['/proc/acpi'],
  )
})

test('a container that started before us needs no mask for paths that a module may have added', async (t) => {
  const { add, of, procRoot } = await watched(t)
  await mkdir(join(procRoot, 'scsi'))
  const early = await add(200, { startedAt: startedAt - 3_600_000 })
  const late = await add(201)
  await until(() => of(early).length === 1 && of(late).length === 1)
  t.is(of(early)[0]?.state, 'intact')
  t.deepEqual(
    of(late)[0]?.missing.map(({ path }) => path),
    ['/proc/scsi'],
  )
})

test('sandboxed and unmasked containers are reported as such, and a reused pid is not checked', async (t) => {
  const { add, of, statuses, running } = await watched(t)
  const sandbox = await add(200, { runtime: 'runsc' })
  const privileged = await add(201, { privileged: true, maskedPaths: [], readonlyPaths: [] })
  const other = await add(202, {}, { cgroup: `3:pids:/docker/${'f'.repeat(64)}\n` })
  await until(() => of(other).length === 1)
  t.is(of(sandbox)[0]?.state, 'sandboxed')
  t.is(of(privileged)[0]?.state, 'unmasked')
  t.is(of(other)[0]?.state, 'unknown')
  await until(() => statuses().at(-1)?.best === false)
  t.regex(statuses().at(-1)?.reason ?? '', /it is not a process of this host/)
  running.splice(running.indexOf(other), 1)
  await until(() => statuses().at(-1)?.best === true)
})

test('the runtime may have no filter before it executes the program, for a limited time', async (t) => {
  const { add, of, forward } = await watched(t)
  const web = await add(200, {}, { status: 'Name:\trunc:[2:INIT]\nSeccomp:\t0\n' })
  await until(() => of(web).length === 1)
  t.deepEqual(of(web)[0]?.missing, [])
  for (let waited = 0; waited < 10_000; waited += 1_000) forward(1_000)
  await until(() => of(web).some(({ missing }) => missing.length > 0))
  t.like(of(web).at(-1), { missing: [{ what: 'seccomp', found: 'no filter' }] })
})

test('a process that exits during the check is not reported', async (t) => {
  const { add, of, procRoot, running } = await watched(t)
  await symlink('/nonexistent', join(procRoot, '299'))
  running.push(
    sampleContainer({ id: 'e'.repeat(64), name: 'gone', details: { ...defaultMasks, pid: 299, startedAt } }),
  )
  const web = await add(200)
  await until(() => of(web).length === 1)
  t.deepEqual(of(running[0] ?? t.fail()), [])
})

test('seccomp is not checked if the engine does not report it', async (t) => {
  const { add, of } = await watched(t, {})
  const web = await add(200, {}, { status: 'Name:\tapp\nSeccomp:\t0\n' })
  await until(() => of(web).length >= 1)
  t.deepEqual(of(web).at(-1)?.missing, [])
})
