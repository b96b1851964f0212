import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { version } from '../../agent/lib/version.ts'
import { commandTree } from '../command-tree.ts'
import { completions } from '../completions.ts'
import { manualPage } from '../manual.ts'
import { controlFile, debianArchitecture, debianChangelog } from './control.ts'

// Builds dist/tidewatch_VERSION_ARCHITECTURE.deb with the bundle, the Node.js that runs this script, the unit,
// configuration, manual page and completions. `--directory` selects another folder; `--compression none` speeds up
// unpacking.

const root = join(import.meta.dirname, '../..')
const { values } = parseArgs({
  options: {
    directory: { type: 'string', default: join(root, 'dist') },
    compression: { type: 'string', default: 'xz' },
  },
})

const stage = mkdtempSync(join(tmpdir(), 'tidewatch-deb-'))
try {
  chmodSync(stage, 0o755)
  const date = dateOfSources()
  fill(date)
  const architecture = debianArchitecture()
  put('DEBIAN/control', controlFile({ version, architecture, installedKiB: sizeKiB(stage) }))
  put('DEBIAN/conffiles', '/etc/tidewatch/tidewatch.yml\n/etc/default/tidewatch\n')
  put('DEBIAN/md5sums', checksums())
  for (const script of ['postinst', 'prerm', 'postrm'])
    put(`DEBIAN/${script}`, readFileSync(join(import.meta.dirname, script)), 0o755)
  mkdirSync(values.directory, { recursive: true })
  const file = join(values.directory, `tidewatch_${version}_${architecture}.deb`)
  const { status, error } = spawnSync(
    'dpkg-deb',
    ['--build', '--root-owner-group', `-Z${values.compression}`, stage, file],
    {
      // Reproducible: the same sources give the same package.
      env: { ...process.env, SOURCE_DATE_EPOCH: String(Math.floor(date.getTime() / 1_000)) },
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  )
  if (error !== undefined) throw new Error('building a Debian package requires dpkg-deb', { cause: error })
  if (status !== 0) throw new Error(`dpkg-deb failed with exit code ${status}`)
  if (values.compression === 'xz') check(file)
  process.stdout.write(`${file}\n`)
} finally {
  rmSync(stage, { recursive: true, force: true })
}

function fill(date: Date): void {
  const files = join(root, 'systemd/files')
  const tree = commandTree()
  const program = 'usr/lib/tidewatch'
  const documentation = 'usr/share/doc/tidewatch'
  execFileSync(process.execPath, [join(root, 'systemd/build.ts'), join(stage, program)], { stdio: 'inherit' })
  for (const file of filesOf(join(stage, program))) chmodSync(file, 0o644)
  includeNode(`${program}/node`)
  put('usr/bin/tidewatch', readFileSync(join(import.meta.dirname, 'tidewatch')), 0o755)
  put('usr/lib/systemd/system/tidewatch.service', readFileSync(join(files, 'tidewatch.service')))
  put('usr/lib/sysusers.d/tidewatch.conf', readFileSync(join(files, 'tidewatch.sysusers')))
  put('etc/tidewatch/tidewatch.yml', readFileSync(join(files, 'tidewatch.yml')))
  put('etc/default/tidewatch', readFileSync(join(files, 'tidewatch.default')))
  put(`${documentation}/examples/without-ebpf.conf`, readFileSync(join(files, 'without-ebpf.conf')))
  put('usr/share/man/man1/tidewatch.1.gz', zipped(manualPage({ tree, version, date: day(date) })))
  put('usr/share/bash-completion/completions/tidewatch', completions('bash', tree))
  put('usr/share/zsh/vendor-completions/_tidewatch', completions('zsh', tree))
  put('usr/share/fish/vendor_completions.d/tidewatch.fish', completions('fish', tree))
  put(`${documentation}/copyright`, readFileSync(join(import.meta.dirname, 'copyright')))
  put(`${documentation}/changelog.gz`, zipped(debianChangelog(version, date)))
  for (const name of ['README.md', 'CHANGELOG.md'])
    put(`${documentation}/${name}`, readFileSync(join(root, name)))
  put('usr/share/lintian/overrides/tidewatch', readFileSync(join(import.meta.dirname, 'lintian-overrides')))
}

/** Includes Node.js without debug symbols, which are a seventh of its size. */
function includeNode(path: string): void {
  const target = join(stage, path)
  copyFileSync(process.execPath, target)
  const { status } = spawnSync('strip', ['--strip-unneeded', target], { stdio: 'ignore' })
  if (status !== 0)
    process.stderr.write('strip (binutils) is missing or failed: the package will be larger than necessary\n')
  chmodSync(target, 0o755)
}

/** Checks the package with lintian, if it is installed. */
function check(file: string): void {
  const { status } = spawnSync('lintian', ['--fail-on', 'error', '--allow-root', file], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (status !== null && status !== 0) throw new Error('lintian found errors in the package')
}

function put(path: string, content: string | Buffer, mode = 0o644): void {
  const target = join(stage, path)
  mkdirSync(dirname(target), { recursive: true })
  writeFileSync(target, content)
  chmodSync(target, mode)
}

function zipped(text: string): Buffer {
  return gzipSync(text, { level: 9 })
}

/** The date of the last commit. Without a git repository, the modification time of package.json. */
function dateOfSources(): Date {
  const { status, stdout } = spawnSync('git', ['log', '-1', '--format=%cI'], { cwd: root, encoding: 'utf8' })
  return status === 0 ? new Date(stdout.trim()) : statSync(join(root, 'package.json')).mtime
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10)
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
}

function sizeKiB(folder: string): number {
  return Math.ceil(filesOf(folder).reduce((sum, file) => sum + statSync(file).size, 0) / 1_024)
}

/** Checksums of everything except conffiles, which the administrator may change. */
function checksums(): string {
  const files = ['usr'].flatMap((folder) => filesOf(join(stage, folder)))
  const names = files.map((file) => file.slice(stage.length + 1))
  return execFileSync('md5sum', names, { cwd: stage, encoding: 'utf8' })
}
