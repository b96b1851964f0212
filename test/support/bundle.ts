import { join } from 'node:path'
import { run } from './processes.ts'

/** Builds the daemon's bundle in `directory`, as shipped in packages; resolves to the file that Node runs. */
export async function buildBundle(directory: string): Promise<string> {
  await run(process.execPath, join(import.meta.dirname, '../../systemd/build.ts'), directory)
  return join(directory, 'tidewatch.js')
}
