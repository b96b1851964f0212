import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import anyTest, { type ExecutionContext, type TestFn } from 'ava'
import type { Finding } from '../../agent/model/finding.ts'
import { type Alertmanager, startAlertmanager } from '../support/alertmanager.ts'
import { buildAttack, type Way, ways } from '../support/attack.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { type Daemon, removeState, startDaemon, logIfFailed } from '../support/daemon.ts'
import { docker, run } from '../support/processes.ts'
import { patience, scaled, until } from '../support/until.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// Every way of writing to a runtime binary, from a container and from the host, many times, by programs that exit
// immediately. Each write must be reported once, with its process and container.

type Context = { daemon: Daemon; alertmanager: Alertmanager; directory: string }
const test = anyTest as TestFn<Context>
const container = `tidewatch-test-writes-${process.pid}`
// For each way. Writes from the host are the same to the kernel, so fewer are enough.
const repetitions = { container: scaled(50), host: scaled(12) }
const undo: (() => Promise<unknown>)[] = []

const inContainer = (directory: string) => join(directory, 'container')
const onHost = (directory: string) => join(directory, 'host')
const decoy = (way: Way, serial: number) => `${way}-${serial}`
const serials = (count: number) => Array.from({ length: count }, (_, index) => index)
const decoysIn = (folder: string, count: number) =>
  ways.flatMap((way) => serials(count).map((serial) => join(folder, decoy(way, serial))))

test.before(async (t) => {
  t.timeout(300_000 * patience)
  const directory = await temporaryDirectory()
  undo.push(() => rm(directory, { recursive: true, force: true }))
  await chmod(directory, 0o755)
  const decoys = [
    ...decoysIn(inContainer(directory), repetitions.container),
    ...decoysIn(onHost(directory), repetitions.host),
  ]
  await mkdir(inContainer(directory))
  await mkdir(onHost(directory))
  await mkdir(join(directory, 'tools'))
  await buildAttack(join(directory, 'tools/attack'))
  await writeFile(join(directory, large), Buffer.alloc(20_000_000, 'x'), { mode: 0o755 })
  for (const path of decoys) {
    await writeFile(path, 'the runtime')
    await chmod(path, 0o755)
  }
  const alertmanager = await startAlertmanager()
  undo.push(alertmanager.remove)
  const daemon = await startDaemon({
    config: {
      alertmanagers: [{ url: alertmanager.url, min_severity: 'critical' }],
      sources: { runtime_files: { paths: [...decoys, join(directory, large)] } },
    },
  })
  undo.push(async () => {
    await daemon.stop()
    await removeState(daemon)
  })
  t.context = { daemon, alertmanager, directory }
})

test.afterEach.always((t) => logIfFailed(t, t.context.daemon))

test.after.always(async () => {
  await docker('rm', '-f', container).catch(() => undefined)
  for (const step of undo.toReversed()) await step()
})

/** A script that attacks every decoy in a folder, each with a separate process. */
function script(attack: string, folder: string, count: number): string {
  const loop = (way: Way) =>
    `i=0; while [ $i -lt ${count} ]; do ${attack} ${way} ${folder}/${way}-$i || exit 1; i=$((i+1)); done`
  return ways.map(loop).join('\n')
}

const rules: Partial<Record<Way, string>> = {
  rename: 'runtime-binary-replaced',
  unlink: 'runtime-binary-replaced',
}
const ruleOf = (way: Way) => rules[way] ?? 'runtime-binary-written'

const large = 'large'
/** Findings of other tests' containers have no path: attempts to overwrite the runtime. */
const pathOf = ({ path }: Finding['evidence']) => (typeof path === 'string' ? path : '')

async function expectFindings(
  t: ExecutionContext<Context>,
  folder: string,
  by: { attack: string; folder: string; container: string | null; count: number },
): Promise<void> {
  const { daemon, alertmanager } = t.context
  const expected = ways.length * by.count
  const all = () =>
    daemon
      .findings({ detector: 'runtime-path-write', severity: 'critical' })
      .filter(({ kind, evidence }) => kind === 'event' && pathOf(evidence).startsWith(`${folder}/`))
  const allOfThem = () => {
    const found = all()
    return found.length >= expected && found
  }
  const found = await until(allOfThem, 60_000).catch(async (error: unknown) => {
    const reported = new Set(all().map(({ evidence }) => pathOf(evidence)))
    const missing = decoysIn(folder, by.count).filter((path) => !reported.has(path))
    t.log(`${reported.size} of ${expected} reported; missing: ${missing.join(' ')}`)
    throw error
  })
  const withoutWriter = found.filter(
    ({ evidence }) => (evidence['writer'] as { argv?: unknown } | undefined)?.argv === undefined,
  )
  t.deepEqual(
    withoutWriter.map(({ evidence }) => pathOf(evidence)),
    [],
  )
  const byPath = Map.groupBy(found, ({ evidence }) => pathOf(evidence))
  for (const way of ways) {
    for (const serial of serials(by.count)) {
      const name = decoy(way, serial)
      const ofThis = byPath.get(join(folder, name)) ?? []
      t.is(ofThis.length, 1, `${name} is reported once`)
      const [finding] = ofThis as [Finding]
      t.is(finding.rule, ruleOf(way), name)
      t.is(finding.container?.name ?? null, by.container, name)
      const writer = finding.evidence['writer'] as { pid: number; argv: string[]; user: string; exe: string }
      t.deepEqual(writer.argv, [by.attack, way, `${by.folder}/${name}`], name)
      t.is(writer.exe, by.attack, name)
      t.is(writer.user, 'root', name)
      t.true(writer.pid > 1, name)
    }
  }
  const labels =
    by.container === null
      ? 'container="",image=""'
      : `container="${by.container}",image="${found[0]?.container?.image}"`
  for (const rule of ['runtime-binary-written', 'runtime-binary-replaced']) {
    const count = ways.filter((way) => ruleOf(way) === rule).length * by.count
    const series = `tidewatch_container_findings_total{${labels},detector="runtime-path-write",rule="${rule}",severity="critical"}`
    if (by.container !== null) t.is(await daemon.metric(series), count)
  }
  const ids = new Set(found.map(({ id }) => id))
  await until(async () => {
    const alerts = await alertmanager.alerts()
    return alerts.filter(({ annotations }) => ids.has(annotations['finding_id'] ?? '')).length === ids.size
  }, 60_000)
}

test.serial(
  'every way of writing from a container is reported once, with the process and the container',
  async (t) => {
    t.timeout(300_000 * patience)
    const { directory } = t.context
    const mounts = ['-v', `${inContainer(directory)}:/mnt`, '-v', `${join(directory, 'tools')}:/tools:ro`]
    const image = await busyboxImage()
    await docker(
      'run',
      '--name',
      container,
      ...mounts,
      image,
      'sh',
      '-c',
      script('/tools/attack', '/mnt', repetitions.container),
    )
    await expectFindings(t, inContainer(directory), {
      attack: '/tools/attack',
      folder: '/mnt',
      container,
      count: repetitions.container,
    })
  },
)

test.serial('every way of writing from the host is reported once, with the process', async (t) => {
  t.timeout(300_000 * patience)
  const { directory, daemon } = t.context
  const attack = join(directory, 'tools/attack')
  const folder = onHost(directory)
  await run('sh', '-c', script(attack, folder, repetitions.host))
  await expectFindings(t, folder, { attack, folder, container: null, count: repetitions.host })
  const lost = (await daemon.metrics())
    .split('\n')
    .filter((line) => /events_lost_total\{source="runtime-files"/.test(line))
  t.deepEqual(lost, [])
})

test.serial(
  'a write to a large file is reported before the file is hashed, and the digest is added later',
  async (t) => {
    const { daemon, directory } = t.context
    const path = join(directory, large)
    await run(join(directory, 'tools/attack'), 'write', path)
    const finding = () =>
      daemon
        .findings({ detector: 'runtime-path-write' })
        .filter(({ kind, evidence }) => kind === 'event' && pathOf(evidence) === path)
    await until(() => finding()[0]?.evidence['sha256_after'] !== undefined)
    t.is(finding().length, 1)
    t.like(finding()[0]?.evidence['writer'], { argv: [join(directory, 'tools/attack'), 'write', path] })
  },
)

test.serial('a changed file that is not restored is a condition', async (t) => {
  const { daemon, directory } = t.context
  t.timeout(300_000 * patience)
  const path = join(onHost(directory), decoy('write', 0))
  const firing = await until(
    () =>
      daemon
        .findings({ detector: 'runtime-path-write' })
        .find(({ rule, evidence }) => rule === 'runtime-binary-mismatch' && evidence['path'] === path),
    120_000,
  )
  t.is(firing.state, 'firing')
  t.is(firing.container, null)
})
