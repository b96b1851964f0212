import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

/**
 * Bundles a script of this folder like the daemon into a new directory; returns its path. Without a bundle, the
 * compiler's memory would be included in the measurement.
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
