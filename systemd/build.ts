import { chmod, cp, rm } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { build } from 'esbuild'

// Makes dist/tidewatch.js (or another folder's, by argument): one file for installation, with koffi and its binary beside it in dist/node_modules.

const root = join(import.meta.dirname, '..')
const dist = process.argv[2] ?? join(root, 'dist')

// What dockerode brings for ssh hosts and BuildKit sessions: 10 MB of memory and 50 ms of start for nothing
// that a daemon on the host of the engine does. They are only called for those, so an empty module is enough.
const unneeded = ['ssh2', '@grpc/grpc-js', '@grpc/proto-loader', 'protobufjs', 'cpu-features']

await rm(dist, { recursive: true, force: true })
await build({
  entryPoints: [join(root, 'agent/main.ts')],
  outfile: join(dist, 'tidewatch.js'),
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  // It finds its binary by its place in node_modules.
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
    // CommonJS modules inside an ES module need a require of their own.
    js: [
      // V8 else keeps some 30 MB of garbage around for speed that a daemon has no use for.
      '#!/usr/bin/env -S node --optimize-for-size',
      `import { createRequire as tidewatchCreateRequire } from 'node:module'`,
      'const require = tidewatchCreateRequire(import.meta.url)',
    ].join('\n'),
  },
  legalComments: 'linked',
  logLevel: 'warning',
})
await chmod(join(dist, 'tidewatch.js'), 0o755)
for (const name of ['koffi', '@koromix/koffi-linux-x64', '@koromix/koffi-linux-arm64'])
  await copyPackage(name)

/** Copies what a package needs to run; the platform that this machine is not is not there to be copied. */
async function copyPackage(name: string): Promise<void> {
  const needed = ['', '.js', '.cjs', '.json', '.node']
  // Sources, documentation, the compiler's helper, and what is for another C library.
  const unused = /\/(?:vendor|doc|lib|musl_\w+|cnoke\.cjs)$/
  await cp(join(root, 'node_modules', name), join(dist, 'node_modules', name), {
    recursive: true,
    filter: (source) =>
      (needed.includes(extname(source)) || source.endsWith('/LICENSE.txt')) && !unused.test(source),
  }).catch((error: unknown) => {
    if (name === 'koffi' || !String(error).includes('ENOENT')) throw error
  })
}
