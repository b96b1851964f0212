import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { basename, dirname, join } from 'node:path'

// What the tests on the emulated host need of the project: its files, its modules and the built daemon.

const root = join(import.meta.dirname, '../..')

// Only lint, types, bundling and dashboards need these, and they are half of what would have to be copied.
const heavy = /^(?:@grafana|typescript|@typescript|oxlint.*|@oxlint.*|prettier|esbuild|@esbuild|@types)$/

// The package `node` brings its program twice.
const duplicate = join(root, 'node_modules/node/node_modules')

/** Makes Node load the files whose types were removed: Node would do it with WebAssembly, which is slow on the emulated host. */
const loader = 'stripped-loader'

/** Copies the project. Returns the Node options that the tests need, where the payload is mounted at a directory. */
export function copyProject(payload: string, mountPoint: string): string {
  const listed = ['ls-files', '--cached', '--others', '--exclude-standard']
  const files = execFileSync('git', listed, { cwd: root, encoding: 'utf8' }).trim().split('\n')
  for (const file of files) {
    copy(file)
    // The sources stay, so that ava can show the line that failed. Lines and columns are the same in both.
    if (file.endsWith('.ts')) write(join('.stripped', file), strip(file))
  }
  write(`${loader}.mjs`, strip(`test/host/${loader}.ts`))
  for (const name of readdirSync(join(root, 'node_modules')))
    if (!heavy.test(name)) copy(join('node_modules', name))
  return `--import=${mountPoint}/${loader}.mjs`

  function copy(file: string): void {
    mkdirSync(join(payload, dirname(file)), { recursive: true })
    cpSync(join(root, file), join(payload, file), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (source) => source !== duplicate,
    })
  }
  function write(file: string, text: string): void {
    mkdirSync(join(payload, dirname(file)), { recursive: true })
    writeFileSync(join(payload, file), text)
  }
}

function strip(file: string): string {
  return stripTypeScriptTypes(readFileSync(join(root, file), 'utf8'))
}

/** Bundles the daemon as it is installed: it starts faster than from its sources. */
export function buildDaemon(payload: string): void {
  execFileSync(process.execPath, [join(root, 'systemd/build.ts'), join(payload, 'dist')])
}

/** Builds the Debian package; returns its file name. */
export function buildPackage(payload: string): string {
  // Unpacking it takes the emulated host longer than reading it.
  const build = [join(root, 'systemd/deb/build.ts'), '--directory', payload, '--compression', 'none']
  return basename(execFileSync(process.execPath, build, { encoding: 'utf8' }).trim())
}
