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

// The Dockerfile as it is, from images that need no registry: the libraries and the Node.js of this machine.

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
    // The builder of the engine itself: the other one asks a registry even for images that are here.
    env: { ...process.env, DOCKER_BUILDKIT: '0' },
    maxBuffer: 64 * 1024 * 1024,
  })
  t.context.layers = [...stdout.matchAll(/^ ---> ([0-9a-f]{12})$/gm)].map(([, id = '']) => id)
})

test.after.always(async (t) => {
  await removeContainers(prefix)
  // The builder’s stage has no name; what is built upon goes after what was built.
  for (const name of [image, ...t.context.layers.toReversed(), builder, base])
    await docker('rmi', '--force', name).catch(() => undefined)
  if (t.context.directory) await rm(t.context.directory, { recursive: true, force: true })
})

test('the image is tidewatch, and says so', async (t) => {
  t.is(await docker('run', '--rm', '--name', `${prefix}-version`, image, 'version'), `tidewatch ${version}\n`)
})

test('the configuration in it is valid', async (t) => {
  const text = await readFile(join(root, 'systemd/image/tidewatch.yml'), 'utf8')
  t.true('config' in configuration.parse(text), JSON.stringify(configuration.parse(text)))
})

test('of the build only its result is in it', async (t) => {
  const list = ['run', '--rm', '--name', `${prefix}-list`, '--entrypoint', 'ls', image]
  t.deepEqual((await docker(...list, '/usr/lib/tidewatch')).trim().split('\n'), [
    'node',
    'node_modules',
    'tidewatch.js',
    'tidewatch.js.LEGAL.txt',
  ])
  t.notRegex(await docker(...list, '/'), /^src$/m)
})

test('run with the flags of the documentation it watches the host and becomes healthy', async (t) => {
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
  const modes = [
    'docker-events    stream',
    'containers       api',
    'resources        cgroup-v',
    'processes        ebpf',
    'runtime-files    fanotify',
  ]
  for (const mode of modes) t.true(log.includes(mode), `${mode}\n${log}`)

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

/** Busybox, and the libraries that Node.js is linked with. */
async function makeBase(directory: string): Promise<void> {
  for (const folder of ['bin', 'etc', 'proc', 'sys', 'tmp', 'usr/bin', 'var/lib'])
    await mkdir(join(directory, folder), { recursive: true })
  await copyFile('/bin/busybox', join(directory, 'bin/busybox'))
  const applets = ['sh', 'cmp', 'cp', 'readlink', 'ls', 'env']
  for (const applet of applets) await symlink('busybox', join(directory, 'bin', applet))
  await symlink('/bin/env', join(directory, 'usr/bin/env'))
  // What the daemon proves that it sees is a run of grep, and that of busybox is busybox.
  const grep = (await run('which', 'grep')).trim()
  await cp(grep, join(directory, 'bin/grep'), { dereference: true })
  const linked = await run('ldd', process.execPath, grep)
  for (const [, library = ''] of linked.matchAll(/(\/\S+) \(0x/g)) {
    await mkdir(join(directory, dirname(library)), { recursive: true })
    await cp(library, join(directory, library), { dereference: true })
  }
}

/** That, Node.js, and the modules of the lockfile, so that the build needs no network. */
async function makeBuilder(directory: string): Promise<void> {
  await copyFile(process.execPath, join(directory, 'bin/node'))
  await chmod(join(directory, 'bin/node'), 0o755)
  const modules = join(root, 'node_modules')
  const needless =
    /^(?:node|typescript|@typescript|oxlint.*|@oxlint.*|oxfmt|@oxfmt|ava|@ava|fast-check|\.bin|\..*)$/
  for (const name of await readdir(modules)) {
    if (needless.test(name)) continue
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
