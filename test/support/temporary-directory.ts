import { mkdtemp } from 'node:fs/promises'

/** A new directory for a test's files, on a real file system: /tmp may be a tmpfs without setuid. The test removes it. */
export async function temporaryDirectory(): Promise<string> {
  return await mkdtemp('/var/tmp/tidewatch-test-')
}
