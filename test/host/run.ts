import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { installMissing } from '../support/debian.ts'

// Boots a real Debian host (cgroup v2, systemd, AppArmor, a newer Docker) in software emulation, and runs there
// the tests that depend on engine and kernel, with a tenth of the counts. HOST_VM_SUITE chooses another Debian.
// By name it runs others too: test/e2e/acts.test.ts takes a quarter of an hour.

const root = join(import.meta.dirname, '../..')

// Needs the package, which is built for it. It restarts the engine and removes everything again: it comes last.
const serviceTest = 'test/host/service.test.ts'

// What depends on the kernel, its cgroups or the engine; the rest is the same everywhere.
const suites = process.argv.slice(2)
const tests =
  suites.length > 0
    ? suites
    : [
        'test/processes/ebpf.test.ts',
        'test/resources/engine*.test.ts',
        'test/docker/*engine.test.ts',
        'test/runtime/source.test.ts',
        'test/e2e/execs.test.ts',
        'test/e2e/limits.test.ts',
        'test/e2e/root.test.ts',
        'test/e2e/runtime-operation.test.ts',
        serviceTest,
      ]

// A build needs what a host without network has not; a burst is no burst where a program takes 30 ms to start.
const exceptions = ['a step of an image build*', 'a container that makes too much noise*']
const matches = exceptions.map((title) => `--match='!${title}'`).join(' ')

// Only lint, types, bundling and dashboards need these, and they are half of what would have to be copied.
const heavy = /^(?:@grafana|typescript|@typescript|oxlint.*|@oxlint.*|prettier|esbuild|@esbuild)$/

installMissing({ debootstrap: 'debootstrap', 'qemu-system-x86_64': 'qemu-system-x86', mke2fs: 'e2fsprogs' })
const payload = mkdtempSync(join(tmpdir(), 'tidewatch-test-host-'))
try {
  copyProject()
  // As it is installed; it starts in a fraction of the time, too.
  execFileSync(process.execPath, [join(root, 'systemd/build.ts'), join(payload, 'dist')])
  const environment = [
    // With /bin as shells of root have it, systemd's own has not: what is run in a container by its name may be there only.
    'PATH=/payload/node_modules/.bin:$PATH:/sbin:/bin',
    'TIDEWATCH_TEST_HOST=emulated',
    'TIDEWATCH_TEST_DAEMON=/payload/dist/tidewatch.js',
    ...(tests.includes(serviceTest) ? [`TIDEWATCH_TEST_DEB=${buildPackage()}`] : []),
  ].join(' ')
  // What compiles TypeScript is WebAssembly, whose optimised code Node 24 loses count of where it is slow
  // (https://github.com/nodejs/node/issues/64500).
  const nodeArguments = '--node-arguments="--no-wasm-tier-up --no-wasm-code-gc"'
  const command = `uname -r; docker version --format 'Docker {{.Server.Version}}'; ${environment} node test/ava.ts --serial --timeout=20m ${nodeArguments} ${matches} ${tests.join(' ')}`
  const { status } = spawnSync(join(import.meta.dirname, 'host-vm.sh'), [payload, command], {
    stdio: 'inherit',
    env: {
      ...process.env,
      HOST_VM_TIMEOUT: '5400',
      HOST_VM_PACKAGES: 'python3-minimal,gcc,libc6-dev,libcap2-bin',
    },
  })
  process.exitCode = status ?? 1
} finally {
  rmSync(payload, { recursive: true, force: true })
}

/** Makes the package out here, where esbuild is; gives its path in there. */
function buildPackage(): string {
  // Unpacking it takes the emulated host longer than reading it.
  const build = [join(root, 'systemd/deb/build.ts'), '--directory', payload, '--compression', 'none']
  const file = execFileSync(process.execPath, build, { encoding: 'utf8' }).trim()
  return `/payload/${basename(file)}`
}

function copyProject(): void {
  const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  })
    .trim()
    .split('\n')
  for (const file of files) {
    mkdirSync(join(payload, dirname(file)), { recursive: true })
    cpSync(join(root, file), join(payload, file))
  }
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (heavy.test(name)) continue
    cpSync(join(root, 'node_modules', name), join(payload, 'node_modules', name), {
      recursive: true,
      verbatimSymlinks: true,
    })
  }
}
