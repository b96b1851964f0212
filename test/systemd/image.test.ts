import { configuration } from '../../agent/daemon/configuration.ts'
import { execFile } from 'node:child_process'
import { chmod, copyFile, cp, mkdir, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import anyTest, { type TestFn } from 'ava'
import { version } from '../../agent/lib/version.ts'
import { removeContainers } from '../support/docker.ts'
import { docker, freePort, run } from '../support/processes.ts'
import { until } from '../support/until.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// The unmodified Dockerfile on base images that need no registry: they contain the libraries and Node.js of this
// machine.

const execute = promisify(execFile)
const root = join(import.meta.dirname, '../..')
const prefix = `tidewatch-test-image-${process.pid}`
const [base, builder, image] = [`${prefix}-base`, `${prefix}-builder`, `${prefix}-tidewatch`]

type Context = { directory: string; layers: string[] }
const test = anyTest as TestFn<Context>

test.before(async (t) => {
  const directory = await temporaryDirectory()
  t.context = { directory, layers: [] }
  await makeBase(join(directory, 'base'))
  await importImage(join(directory, 'base'), base)
  await makeBuilder(join(directory, 'base'))
  await importImage(join(directory, 'base'), builder)
  const built = ['--build-arg', `BASE=${base}`, '--build-arg', `BUILDER=${builder}`, '--tag', image]
  const { stdout } = await execute('docker', ['build', '--network=none', ...built, root], {
    // Uses the classic builder: BuildKit contacts a registry even for local images.
    env: { ...process.env, DOCKER_BUILDKIT: '0' },
    maxBuffer: 64 * 1024 * 1024,
  })
  t.context.layers = [...stdout.matchAll(/^ ---> ([0-9a-f]{12})$/gm)].map(([, id = '']) => id)
})

test.after.always(async (t) => {
  await removeContainers(prefix)
  // The build stage has no tag. Images must be removed before the layers they are based on.
  for (const name of [image, ...t.context.layers.toReversed(), builder, base])
    await docker('rmi', '--force', name).catch(() => undefined)
  if (t.context.directory) await rm(t.context.directory, { recursive: true, force: true })
})

test('the image runs tidewatch', async (t) => {
  t.is(await docker('run', '--rm', '--name', `${prefix}-version`, image, 'version'), `tidewatch ${version}\n`)
})

test('the configuration in the image is valid', async (t) => {
  const text = await readFile(join(root, 'systemd/image/tidewatch.yml'), 'utf8')
  t.true('config' in configuration.parse(text), JSON.stringify(configuration.parse(text)))
})

test('the image contains only the result of the build', async (t) => {
  const list = ['run', '--rm', '--name', `${prefix}-list`, '--entrypoint', 'ls', image]
  t.deepEqual((await docker(...list, '/usr/lib/tidewatch')).trim().split('\n'), [
    'node',
    'node_modules',
    'runbooks',
    'tidewatch.js',
    'tidewatch.js.LEGAL.txt',
  ])
  t.notRegex(await docker(...list, '/'), /^src$/m)
})

test('with the documented flags the container monitors the host and becomes healthy', async (t) => {
  const operations = await readFile(join(root, 'docs/operations.md'), 'utf8')
  const documented = /```sh\n(docker run [^`]*?) tidewatch:local\n```/.exec(operations)?.[1] ?? ''
  const flags = documented
    .replaceAll('\\\n', ' ')
    .trim()
    .split(/\s+/)
    .slice(2)
    .filter((flag) => !/^--(?:name|restart|publish)=|^-d$/.test(flag))
    .map((flag) => flag.replace(/^--volume=tidewatch:/, `--volume=${prefix}:`))
  t.true(flags.includes('--pid=host'))
  const name = `${prefix}-run`
  t.teardown(() => docker('volume', 'rm', '--force', prefix))
  const address = `TIDEWATCH_WEB_LISTEN_ADDRESS=127.0.0.1:${await freePort()}`
  await docker('run', '-d', '--name', name, '--health-interval=1s', '--env', address, ...flags, image)
  t.teardown(() => docker('rm', '--force', name))

  await until(
    async () => (await docker('inspect', '--format', '{{.State.Health.Status}}', name)).trim() === 'healthy',
    60_000,
  )
  const log = await docker('logs', name)
  const modes = {
    'docker-events': 'stream',
    containers: 'api',
    resources: 'cgroup-v',
    processes: 'ebpf',
    'runtime-files': 'fanotify',
  }
  for (const [source, mode] of Object.entries(modes))
    t.regex(log, new RegExp(`source ${source} is (?:up|degraded) \\(mode ${mode}`))

  await docker('exec', name, 'tidewatch', 'version')
  await until(async () => {
    const findings = await docker(
      'exec',
      name,
      'tidewatch',
      'findings',
      '--container',
      name,
      '--format',
      'json',
    )
    return findings.includes('"rule":"exec-command"')
  })
})

/** The base image: Busybox, and the libraries that Node.js is linked with. */
async function makeBase(directory: string): Promise<void> {
  for (const folder of ['bin', 'etc', 'proc', 'sys', 'tmp', 'usr/bin', 'var/lib'])
    await mkdir(join(directory, folder), { recursive: true })
  await copyFile('/bin/busybox', join(directory, 'bin/busybox'))
  const applets = ['sh', 'cmp', 'cp', 'readlink', 'ls', 'env']
  for (const applet of applets) await symlink('busybox', join(directory, 'bin', applet))
  await symlink('/bin/env', join(directory, 'usr/bin/env'))
  // The daemon's self-test runs grep. Busybox's applet would appear as busybox, so the real grep is needed.
  const grep = (await run('which', 'grep')).trim()
  await cp(grep, join(directory, 'bin/grep'), { dereference: true })
  const linked = await run('ldd', process.execPath, grep)
  for (const [, library = ''] of linked.matchAll(/(\/\S+) \(0x/g)) {
    await mkdir(join(directory, dirname(library)), { recursive: true })
    await cp(library, join(directory, library), { dereference: true })
  }
}

/** The builder image: the base, Node.js, and the modules of the lockfile, so that the build needs no network. */
async function makeBuilder(directory: string): Promise<void> {
  await copyFile(process.execPath, join(directory, 'bin/node'))
  await chmod(join(directory, 'bin/node'), 0o755)
  const modules = join(root, 'node_modules')
  const unneeded =
    /^(?:node|typescript|@typescript|oxlint.*|@oxlint.*|oxfmt|@oxfmt|ava|@ava|fast-check|\.bin|\..*)$/
  for (const name of await readdir(modules)) {
    if (unneeded.test(name)) continue
    await cp(join(modules, name), join(directory, 'src/node_modules', name), {
      recursive: true,
      verbatimSymlinks: true,
    })
  }
  await copyFile(join(root, 'package-lock.json'), join(directory, 'src/node_modules/.installed-lock.json'))
}

async function importImage(directory: string, name: string): Promise<void> {
  const archive = `${directory}.tar`
  await run('tar', '--owner=0', '--group=0', '-C', directory, '-cf', archive, '.')
  await docker('import', archive, name)
  await rm(archive)
}
