import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { avaOf, type Task } from './runner/ava.ts'
import { runChosen } from './runner/chosen.ts'
import { runFirstContainer, startEngineIfNone } from './runner/engine.ts'
import { byNeeds, slowUnitTests, testFiles } from './runner/files.ts'
import { canShareProcess, removeGroups, writeGroups } from './runner/groups.ts'
import { inLanes } from './runner/lanes.ts'
import type { Report } from './runner/report.ts'
import { type Outcome, settle } from './runner/retry.ts'
import { stages } from './runner/stages.ts'
import { buildBundle } from './support/bundle.ts'
import { fail, installMissing } from './support/debian.ts'
import { isFull } from './support/until.ts'

// Runs all tests; with --quick only lint, types and the tests that need no engine; with arguments of ava only the
// selected tests. Missing programs for end-to-end tests are installed, and an engine is started for the run if none is
// running; both need root on Debian. The last line counts each test once.

// A file with containers waits for a third of its time, so three of them keep two processors busy.
const lanes = 3

// The start of ava itself takes most of a second of processor time; more files would leave a lane without work at the end.
const filesPerAva = 2

const root = join(import.meta.dirname, '..')
const args = process.argv.slice(2)
const isQuick = args.includes('--quick')
const stage = stages()

const result = await (isQuick ? quick() : args.length > 0 ? some() : all())
process.stderr.write(`${stage.table()}\n`)
process.stdout.write(`${result.passed} passed, ${result.failed} failed\n`)
process.exitCode = result.failed === 0 ? 0 : 1

async function all(): Promise<Outcome> {
  await check()
  await stage.run('required programs', async () => installPrograms())
  await using cleanup = new AsyncDisposableStack()
  cleanup.defer(await stage.run('engine', startEngine))
  const files = testFiles(root, { isFull })
  const { unit, daemon, containers } = byNeeds(root, files)
  await stage.run('bundle', useBundle)
  // Unit tests are short and fill the lanes at the end.
  const tasks = chunked([...containers, ...daemon], filesPerAva).map((both) => ({
    name: both.join(' and '),
    files: both,
  }))
  const reports = await stage.run('tests', () => runTasks([...tasks, ...unitTasks(unit)]))
  return await stage.run('retries', () => settle(reports, files))
}

async function quick(): Promise<Outcome> {
  await check()
  const unit = byNeeds(root, testFiles(root)).unit.filter((file) => !slowUnitTests.includes(file))
  const reports = await stage.run('unit tests', () => runTasks(unitTasks(unit)))
  return await settle(reports, unit)
}

async function some(): Promise<Outcome> {
  installPrograms()
  await using cleanup = new AsyncDisposableStack()
  cleanup.defer(await startEngine())
  await useBundle()
  return await stage.run('tests', () => runChosen(args))
}

async function runTasks(tasks: readonly Task[]): Promise<Report[]> {
  try {
    return await inLanes(lanes, tasks, avaOf)
  } finally {
    removeGroups(root)
  }
}

/** Groups as many unit tests as possible into each process. */
function unitTasks(files: readonly string[]): Task[] {
  const shared = files.filter((file) => canShareProcess(root, file))
  const alone = files.filter((file) => !shared.includes(file))
  return [...writeGroups(root, shared, 4), { name: 'unit tests in their own processes', files: alone }]
}

function chunked<Item>(items: readonly Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  )
}

async function check(): Promise<void> {
  const results = await stage.run('lint and types', () => Promise.all([npm('lint'), npm('types')]))
  if (results.some((status) => status !== 0)) fail('lint or type errors, see above')
}

function npm(script: string): Promise<number> {
  const child = spawn('npm', ['run', script], { stdio: 'inherit', cwd: root })
  return new Promise((resolve) => child.once('close', (code) => resolve(code ?? 1)))
}

/** Builds the bundle that the packages ship: it starts the daemon in half the time of its sources. */
async function useBundle(): Promise<void> {
  process.env['TIDEWATCH_TEST_DAEMON'] = await buildBundle(join(root, 'node_modules/.cache/tidewatch/dist'))
}

async function startEngine(): Promise<() => Promise<void>> {
  const stopEngine = await startEngineIfNone()
  const failure = await runFirstContainer()
  if (failure === undefined) return stopEngine
  await stopEngine()
  return fail(failure)
}

function installPrograms(): void {
  installMissing({
    dockerd: 'docker.io',
    '/bin/busybox': 'busybox-static',
    prometheus: 'prometheus',
    'prometheus-alertmanager': 'prometheus-alertmanager',
    ip: 'iproute2',
    script: 'bsdutils',
    openssl: 'openssl',
    python3: 'python3-minimal',
    gcc: 'gcc',
    '/usr/include/stdio.h': 'libc6-dev',
    setcap: 'libcap2-bin',
    '/usr/lib/chromium/chromium-headless-shell': 'chromium-headless-shell',
    '/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf': 'fonts-dejavu-core',
    'systemd-analyze': 'systemd',
    'dpkg-deb': 'dpkg',
    faketime: 'faketime',
  })
}
