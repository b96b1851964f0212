import { chmod, cp, rm } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { build } from 'esbuild'

// Builds dist/tidewatch.js (an argument names another folder): one file to install, next to koffi and its native
// binary in node_modules.

const root = join(import.meta.dirname, '..')
const dist = process.argv[2] ?? join(root, 'dist')

// dockerode's dependencies for SSH hosts and BuildKit sessions. They cost 10 MB of memory and 50 ms at start, and a
// daemon on the engine's host never calls them, so empty modules replace them.
const unneeded = ['ssh2', '@grpc/grpc-js', '@grpc/proto-loader', 'protobufjs', 'cpu-features']

await rm(dist, { recursive: true, force: true })
await build({
  entryPoints: [join(root, 'agent/main.ts')],
  outfile: join(dist, 'tidewatch.js'),
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  // koffi locates its native binary relative to its place in node_modules.
  external: ['koffi'],
  plugins: [
    {
      name: 'leave-out',
      setup({ onResolve, onLoad }) {
        const filter = new RegExp(`^(?:${unneeded.join('|')})(?:/|$)`)
        onResolve({ filter }, ({ path }) => ({ path, namespace: 'left-out' }))
        onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({ contents: 'module.exports = {}' }))
      },
    },
  ],
  banner: {
    // CommonJS modules inside an ES module need a `require`.
    js: [
      // Without this option V8 uses about 30 MB more memory to gain speed that the daemon does not need.
      '#!/usr/bin/env -S node --optimize-for-size',
      `import { createRequire as tidewatchCreateRequire } from 'node:module'`,
      'const require = tidewatchCreateRequire(import.meta.url)',
    ].join('\n'),
  },
  legalComments: 'linked',
  logLevel: 'warning',
})
await chmod(join(dist, 'tidewatch.js'), 0o755)
// The web endpoint serves them.
await cp(join(root, 'docs/runbooks'), join(dist, 'runbooks'), { recursive: true })
for (const name of ['koffi', '@koromix/koffi-linux-x64', '@koromix/koffi-linux-arm64'])
  await copyPackage(name)

/** Copies the runtime files of a package. Packages for other platforms are not installed, and are skipped. */
async function copyPackage(name: string): Promise<void> {
  const needed = ['', '.js', '.cjs', '.json', '.node']
  // Sources, documentation, the build helper, and binaries for other C libraries.
  const unused = /\/(?:vendor|doc|lib|musl_\w+|cnoke\.cjs)$/
  await cp(join(root, 'node_modules', name), join(dist, 'node_modules', name), {
    recursive: true,
    filter: (source) =>
      (needed.includes(extname(source)) || source.endsWith('/LICENSE.txt')) && !unused.test(source),
  }).catch((error: unknown) => {
    if (name === 'koffi' || !String(error).includes('ENOENT')) throw error
  })
}
