import { join } from 'node:path'
import { run } from './processes.ts'

/** Builds the daemon into `directory`, as the packages ship it; resolves to the file that Node runs. */
export async function buildBundle(directory: string): Promise<string> {
  await run(process.execPath, join(import.meta.dirname, '../../systemd/build.ts'), directory)
  return join(directory, 'tidewatch.js')
}
