import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

/**
 * Bundles a script of this folder, as the daemon is shipped, into a directory that is new; returns where it is. The
 * compiler of unbundled sources would count as memory of what is measured.
 */
export async function bundleScript(name: string, directory: string): Promise<string> {
  const outfile = join(directory, `${name}.js`)
  await build({
    entryPoints: [join(import.meta.dirname, `${name}.ts`)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['koffi'],
  })
  symlinkSync(join(import.meta.dirname, '../../node_modules'), join(directory, 'node_modules'))
  return outfile
}
