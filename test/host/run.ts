import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { fail, installMissing, say } from '../support/debian.ts'
import { buildDaemon, buildPackage, bundleTests, copyProject, nodeOption } from './payload.ts'
import { type Host, HostError, startHost } from './vm.ts'

// Boots a real Debian host (cgroup v2, systemd, AppArmor, a newer Docker) in software emulation and runs the tests that depend
// on these, with a tenth of the repetitions.
//
//   npm run test:host                              the tests that depend on kernel, cgroup v2, AppArmor or systemd
//   npm run test:host -- --all                     also the further tests with a real engine
//   npm run test:host -- test/e2e/detections.test.ts     selected files
//   npm run test:host -- --match='*a title*' FILE  selected tests
//
//   HOST_VM_SUITE     trixie: kernel 6.12, Docker 26.1 (default) · bookworm: 6.1, 20.10 · bullseye: 5.10, 20.10 · sid: 7.2, 28.5
//   HOST_VM_CACHE     where the base and the snapshot are cached (default /var/cache/host-vm)
//   HOST_VM_TIMEOUT   seconds until the tests are aborted        (default 3300, with --all 5400)
//   HOST_VM_PACKAGES  further Debian packages in the base, separated by commas
//   HOST_VM_QEMU      further arguments of QEMU, for measurements; each set gets its own snapshot
//   HOST_VM_APPEND    further arguments of the kernel, likewise

// Uses the Debian package, which is built for this test. It restarts Docker and removes everything, so it runs last.
const serviceTest = 'test/host/service.test.ts'

// Tests that depend on the kernel, cgroup v2, AppArmor or systemd.
const hostTests = [
  'test/sources/processes/modes/ebpf.test.ts',
  'test/sources/resources/engine*.test.ts',
  'test/sources/runtime-files/source.test.ts',
  'test/e2e/execs.test.ts',
  'test/e2e/limits.test.ts',
  'test/e2e/root.test.ts',
  serviceTest,
]

// Tests that depend only on Docker's version, or that the files above already cover on an emulated host.
const furtherTests = ['test/sources/docker/**/*engine.test.ts', 'test/e2e/runtime-operation.test.ts']

// Tests in the files above that only --all runs, because a container takes ten seconds to start: they depend on the
// engine alone, or the others show the same of this kernel.
const furtherTitles = [
  '*containers that start and stop normally cause no findings*',
  'a profile is learned, survives a restart*',
  'a container that exits and is restarted repeatedly is in a restart loop',
  'a container that is removed while it is sampled*',
  'a container without limits is one condition',
  'a paused container is still sampled*',
  'ordinary operation of a host causes no critical finding',
  'building an image with commands as root*',
  'a client in a container is named as that container',
  'a copy in either direction is one finding',
  'two commands of one program are two findings*',
  'a daemon that starts when containers and execs already run*',
  'entering as root without the engine is one finding*',
  'a root process that outlived its exec*',
  'deceptive arguments are reported unchanged*',
  'a limit that is changed while the container runs*',
  'filling memory is near its limit*',
  'memory that is filled and freed again and again*',
  'page cache that fills a container*',
  'a busy loop under a quota is throttled',
  'a fork bomb is detected by its growth*',
  'a setuid file added in the container is an escalation*',
  'setuid files on a tmpfs or changed in the container*',
  'an entry point that starts as root and drops its privileges*',
]

// A build needs the network, and a burst is impossible because a program takes 30 ms to start.
const impossibleTitles = ['an image build step*', 'a container over its budget*']

const timeMark = 'seconds-of-test-file '

const packages = [
  ...['systemd', 'systemd-sysv', 'dbus', 'docker.io', 'iptables', 'apparmor', 'linux-image-cloud-amd64'],
  ...['iproute2', 'kmod', 'ca-certificates', 'busybox-static', 'procps', 'util-linux', 'login', 'passwd'],
  ...['prometheus', 'prometheus-alertmanager', 'python3-minimal', 'gcc', 'libc6-dev', 'libcap2-bin'],
  ...(process.env['HOST_VM_PACKAGES']?.split(',') ?? []),
]

const { values, positionals } = parseArgs({
  options: { all: { type: 'boolean' }, match: { type: 'string', multiple: true } },
  allowPositionals: true,
})
const all = values.all === true ? [...furtherTests, ...hostTests] : hostTests
const tests = positionals.length > 0 ? positionals : all
const excluded =
  values.all === true || positionals.length > 0 ? impossibleTitles : [...impossibleTitles, ...furtherTitles]
checkTitles()

installMissing({
  debootstrap: 'debootstrap',
  'qemu-system-x86_64': 'qemu-system-x86',
  'qemu-img': 'qemu-utils',
  mke2fs: 'e2fsprogs',
  flock: 'util-linux',
})
const begin = performance.now()
const payload = mkdtempSync(join(tmpdir(), 'tidewatch-test-host-'))
process.once('exit', () => rmSync(payload, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.once(signal, () => fail(`the run was interrupted by ${signal}`))
let host: Host | undefined
let passed = 0
let failed = 0
let hasSum = false
let rest = ''
try {
  copyProject(payload)
  await bundleTests(payload, tests)
  buildDaemon(payload)
  const deb = tests.includes(serviceTest) ? buildPackage(payload) : undefined
  reportStage('payload', (performance.now() - begin) / 1_000)
  host = await startHost({
    suite: process.env['HOST_VM_SUITE'] ?? 'trixie',
    packages,
    cache: process.env['HOST_VM_CACHE'] ?? '/var/cache/host-vm',
    timeoutSeconds: Number(process.env['HOST_VM_TIMEOUT'] ?? (values.all === true ? 5_400 : 3_300)),
    onStage: reportStage,
    say,
  })
  const started = performance.now()
  process.exitCode = await host.run(payload, commandFor(deb), print)
  reportStage('tests', (performance.now() - started) / 1_000, host.cpuSeconds())
} catch (error) {
  if (!(error instanceof HostError)) throw error
  say(error.message)
  process.exitCode = 1
  // Not all tests have been counted.
  failed += 1
  hasSum = true
} finally {
  await host?.stop()
}
reportStage('total', (performance.now() - begin) / 1_000)
if (hasSum) process.stdout.write(`${passed} passed, ${failed} failed\n`)

function commandFor(deb: string | undefined): string {
  const environment = [
    // Includes /bin, like root's shells and unlike systemd's default path: some programs of containers are only found
    // there.
    'PATH=/payload/node_modules/.bin:$PATH:/sbin:/bin',
    'TIDEWATCH_TEST_HOST=emulated',
    'TIDEWATCH_TEST_DAEMON=/payload/dist/tidewatch.js',
    `NODE_OPTIONS=${nodeOption}`,
    ...(deb === undefined ? [] : [`TIDEWATCH_TEST_DEB=${deb}`]),
  ]
  const matches = [...(values.match ?? []), ...excluded.map((title) => `!${title}`)]
  const ava = (files: readonly string[]) => [
    // Concurrent tests would starve each other, fail, and take longer.
    ...['node', 'test/ava.ts', '--serial', '--timeout=10m'],
    // fetch() parses HTTP with WebAssembly, and Node 24 loses count of optimised code where it is slow
    // (https://github.com/nodejs/node/issues/64500).
    '--node-arguments="--no-wasm-tier-up --no-wasm-code-gc"',
    ...matches.map((title) => `--match='${title}'`),
    ...files,
  ]
  return [
    'uname -r',
    "docker version --format 'Docker {{.Server.Version}}'",
    `export ${environment.join(' ')}`,
    ava(tests).join(' '),
    'status=$?',
    `sed 's/^/${timeMark}/' .times`,
    'exit $status',
  ].join('\n')
}

/** Fails if a listed title no longer exists: the renamed test would run again unnoticed. */
function checkTitles(): void {
  const sources = globSync([...hostTests, ...furtherTests]).map((file) => readFileSync(file, 'utf8'))
  for (const title of [...impossibleTitles, ...furtherTitles]) {
    const words = title.replaceAll('*', '')
    if (!sources.some((source) => source.includes(words)))
      fail(`no test on the host matches the title '${title}'`)
  }
}

/** Forwards the output of the tests, reports the measured times, and stores the counts for the end. */
function print(text: string): void {
  const lines = (rest + text).split('\n')
  rest = lines.pop() ?? ''
  for (const line of lines) {
    const counts = /^(\d+) passed, (\d+) failed$/.exec(line)
    if (counts !== null) {
      passed = Number(counts[1])
      failed = Number(counts[2])
      hasSum = true
    } else if (line.startsWith(timeMark)) {
      const [file = '', seconds] = line.slice(timeMark.length).split(' ')
      reportStage(file, Number(seconds))
    } else process.stdout.write(`${line}\n`)
  }
}

function reportStage(stage: string, seconds: number, cpuSeconds?: number): void {
  const cpu = cpuSeconds === undefined ? '' : ` (QEMU has used ${cpuSeconds.toFixed(0)} s of processor time)`
  say(`${seconds.toFixed(1).padStart(7)} s  ${stage}${cpu}`)
}
