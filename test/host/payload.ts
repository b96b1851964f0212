import { execFileSync } from 'node:child_process'
import { cpSync, globSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import { build, type Plugin } from 'esbuild'

// Everything that the tests on the emulated host need: the project, its modules, the installed daemon, and its package.
//
// The emulated host takes about 30 ms to load a module, and the daemon with its dependencies has 1,200 of them. So each test
// file is bundled, with shared code in common chunks. Files that a test runs as a separate program are not bundled, but their
// types are removed: Node would do that with WebAssembly, which is slow there, too.

const root = join(import.meta.dirname, '../..')

/** Where the host mounts the payload. */
export const mountPoint = '/payload'

/** The folder in the payload with the compiled files that Node loads instead of the sources. */
const compiled = '.compiled'

// Only needed for linting, types, bundling and dashboards; they are half of the data to copy.
const heavy = /^(?:@grafana|typescript|@typescript|oxlint.*|@oxlint.*|oxfmt|@oxfmt|esbuild|@esbuild|@types)$/

// The package `node` contains its program twice.
const duplicate = join(root, 'node_modules/node/node_modules')

// dockerode's dependencies for SSH hosts and BuildKit sessions, which are never called here; systemd/build.ts omits
// them, too.
const unneeded = /^(?:ssh2|@grpc\/grpc-js|@grpc\/proto-loader|protobufjs|cpu-features)(?:\/|$)/

const loader = 'compiled-loader'

/** Copies the project to the payload. */
export function copyProject(payload: string): void {
  const listed = ['ls-files', '--cached', '--others', '--exclude-standard']
  const files = execFileSync('git', listed, { cwd: root, encoding: 'utf8' }).trim().split('\n')
  const modules = readdirSync(join(root, 'node_modules')).filter((name) => !heavy.test(name))
  for (const file of [...files, ...modules.map((name) => join('node_modules', name))]) {
    mkdirSync(join(payload, dirname(file)), { recursive: true })
    cpSync(join(root, file), join(payload, file), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (source) => source !== duplicate,
    })
    // The sources are copied too, so that ava can show the failed line.
    if (file.endsWith('.ts')) write(payload, join(compiled, file), strip(file))
  }
  write(payload, `${loader}.mjs`, strip(`test/host/${loader}.ts`))
}

/** The Node option that makes Node load the compiled files. */
export const nodeOption = `--import=${mountPoint}/${loader}.mjs`

/** Bundles the test files of these patterns. */
export async function bundleTests(payload: string, patterns: readonly string[]): Promise<void> {
  const { outputFiles } = await build({
    absWorkingDir: root,
    write: false,
    entryPoints: globSync(patterns, { cwd: root }),
    outdir: join(payload, compiled),
    outbase: root,
    outExtension: { '.js': '.ts' },
    chunkNames: 'chunks/[hash]',
    bundle: true,
    splitting: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    sourcemap: true,
    sourcesContent: false,
    external: ['ava', 'koffi', 'esbuild'],
    plugins: [sourcePlaces, withoutMaps, leaveOut],
    // CommonJS modules inside an ES module need a `require`.
    banner: {
      js: `import { createRequire as hostCreateRequire } from 'node:module'; const require = hostCreateRequire(import.meta.url)`,
    },
    logLevel: 'warning',
  })
  for (const { path, text } of outputFiles) {
    const file = relative(payload, path)
    if (path.endsWith('.map')) write(payload, file, JSON.stringify(relocated(path, text)))
    else write(payload, file, text.replace(/(?<=^\/\/# sourceMappingURL=).*/m, mapFor(file)))
  }
}

/**
 * The path of a bundle's source map, relative to the name under which the bundle is loaded; Node needs a relative
 * path.
 */
function mapFor(file: string): string {
  const loadedAs = file.endsWith('.test.ts') ? relative(compiled, file) : file
  return relative(dirname(loadedAs), `${file}.map`)
}

/** The source map of a bundle with the paths of the sources on the host, so that failures show source lines. */
function relocated(path: string, text: string): object {
  const map = JSON.parse(text) as { sources: string[] }
  const sources = map.sources.map((source) => {
    const place = relative(root, join(dirname(path), source))
    return `file://${mountPoint}/${place}`
  })
  return { ...map, sources }
}

/** Omits the source maps of dependencies, because Node parses the whole map when it loads a bundle. */
const withoutMaps: Plugin = {
  name: 'without-maps',
  setup({ onLoad }) {
    const empty = Buffer.from(JSON.stringify({ version: 3, sources: [''], mappings: 'A' })).toString('base64')
    onLoad({ filter: /\/node_modules\/.*\.[cm]?js$/ }, async ({ path }) => ({
      contents: `${await readFile(path, 'utf8')}\n//# sourceMappingURL=data:application/json;base64,${empty}`,
      loader: 'js',
    }))
  },
}

/** Makes `import.meta` of a bundled module refer to its source, so that it finds its files. */
const sourcePlaces: Plugin = {
  name: 'source-places',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      if (path.includes('/node_modules/')) return undefined
      const place = join(mountPoint, relative(root, path))
      const text = (await readFile(path, 'utf8'))
        .replaceAll('import.meta.dirname', JSON.stringify(dirname(place)))
        .replaceAll('import.meta.filename', JSON.stringify(place))
        .replaceAll('import.meta.url', JSON.stringify(`file://${place}`))
      return { contents: text, loader: 'ts' }
    })
  },
}

const leaveOut: Plugin = {
  name: 'leave-out',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: unneeded }, ({ path }) => ({ path, namespace: 'left-out' }))
    onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({ contents: 'module.exports = {}' }))
  },
}

/** Builds the daemon's bundle, as it is installed. */
export function buildDaemon(payload: string): void {
  execFileSync(process.execPath, [join(root, 'systemd/build.ts'), join(payload, 'dist')])
}

/** Builds the Debian package; returns its path on the host. */
export function buildPackage(payload: string): string {
  // On the emulated host, decompression would take longer than reading an uncompressed package.
  const args = [join(root, 'systemd/deb/build.ts'), '--directory', payload, '--compression', 'none']
  return join(mountPoint, basename(execFileSync(process.execPath, args, { encoding: 'utf8' }).trim()))
}

/** Removes types like Node, so that lines and columns stay the same. */
function strip(file: string): string {
  return stripTypeScriptTypes(readFileSync(join(root, file), 'utf8'))
}

function write(payload: string, file: string, text: string): void {
  mkdirSync(join(payload, dirname(file)), { recursive: true })
  writeFileSync(join(payload, file), text)
}
