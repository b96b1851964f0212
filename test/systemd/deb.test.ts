import { configuration } from '../../agent/daemon/configuration.ts'
import { access, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import anyTest, { type TestFn } from 'ava'
import { version } from '../../agent/lib/version.ts'
import { debianArchitecture } from '../../systemd/deb/control.ts'
import { run } from '../support/processes.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// The unpacked package. test/host/service.test.ts tests its installation, operation and removal on a booted host.

type Context = { directory: string; file: string; contents: string; control: string }
const test = anyTest as TestFn<Context>

test.before(async (t) => {
  const directory = await temporaryDirectory()
  t.context = {
    directory,
    file: '',
    contents: join(directory, 'contents'),
    control: join(directory, 'control'),
  }
  const build = join(import.meta.dirname, '../../systemd/deb/build.ts')
  // Compression would take a minute and does not affect these tests.
  const printed = await run(process.execPath, build, '--directory', directory, '--compression', 'none')
  t.context.file = printed.trim()
  await run('dpkg-deb', '-x', t.context.file, t.context.contents)
  await run('dpkg-deb', '-e', t.context.file, t.context.control)
})

test.after.always(async (t) => {
  if (t.context.directory) await rm(t.context.directory, { recursive: true, force: true })
})

test('the control file has name, version, architecture and size', async (t) => {
  const field = async (name: string) => (await run('dpkg-deb', '-f', t.context.file, name)).trim()
  t.is(await field('Package'), 'tidewatch')
  t.is(await field('Version'), version)
  t.is(await field('Architecture'), debianArchitecture())
  // Node.js alone is 100 MB.
  t.true(Number(await field('Installed-Size')) > 90_000)
})

test('the program runs with the included Node.js from any directory', async (t) => {
  const program = join(t.context.contents, 'usr/lib/tidewatch')
  const printed = await run(join(program, 'node'), join(program, 'tidewatch.js'), 'version')
  t.is(printed, `tidewatch ${version}\n`)
})

test('all files belong to root and are writable only by root', async (t) => {
  const lines = (await run('dpkg-deb', '-c', t.context.file)).trim().split('\n')
  t.true(lines.length > 30)
  for (const line of lines) t.regex(line, /^[d-]rw[x-]r-[x-]r-[x-] root\/root /)
})

test('the package contains all files that its unit starts and reads', async (t) => {
  const unit = await readFile(join(t.context.contents, 'usr/lib/systemd/system/tidewatch.service'), 'utf8')
  for (const path of ['/usr/bin/tidewatch', '/etc/tidewatch/tidewatch.yml', '/etc/default/tidewatch']) {
    t.true(unit.includes(path), path)
    await t.notThrowsAsync(access(join(t.context.contents, path)))
  }
})

test('its configuration is valid as shipped and with every example enabled', async (t) => {
  const text = await readFile(join(t.context.contents, 'etc/tidewatch/tidewatch.yml'), 'utf8')
  t.true('config' in configuration.parse(text))
  const examples = text.replaceAll(/^#(?=\S|  - )/gm, '')
  t.not(examples, text)
  t.true('config' in configuration.parse(examples), JSON.stringify(configuration.parse(examples)))
})

test('an upgrade keeps the files that an administrator may change', async (t) => {
  const conffiles = (await readFile(join(t.context.control, 'conffiles'), 'utf8')).trim().split('\n')
  t.deepEqual(conffiles, ['/etc/tidewatch/tidewatch.yml', '/etc/default/tidewatch'])
  for (const file of conffiles) await t.notThrowsAsync(access(join(t.context.contents, file)))
})

for (const script of ['postinst', 'prerm', 'postrm']) {
  test(`${script} is an executable shell script without syntax errors`, async (t) => {
    const path = join(t.context.control, script)
    t.is((await stat(path)).mode & 0o777, 0o755)
    await t.notThrowsAsync(run('sh', '-n', path))
  })
}

test('the checksums match the files', async (t) => {
  const sums = join(t.context.control, 'md5sums')
  const printed = await run(
    'sh',
    '-c',
    'cd "$1" && md5sum --check --quiet "$2"',
    'sh',
    t.context.contents,
    sums,
  )
  t.is(printed, '')
  t.true((await readFile(sums, 'utf8')).includes('usr/lib/tidewatch/node\n'))
})
