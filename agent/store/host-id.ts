import { randomUUID } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode } from '../lib/errors.ts'

// machine-id(5); the second path is that of D-Bus on hosts without systemd.
const machineIdFiles = ['/etc/machine-id', '/var/lib/dbus/machine-id']

/**
 * Distinguishes this host from others, also from those with its name: the machine ID, and an ID in the state directory
 * because machines cloned from one image may share the machine ID. One of them suffices. Without both, the host name
 * has to. machine-id(5) asks not to publish the ID, so use the result only in hashes.
 */
export function readHostId(
  directory: string,
  hostName: string,
  machineIds: readonly string[] = machineIdFiles,
): string {
  const ids = [machineIds.map(readLine).find((id) => id !== '') ?? '', storedId(join(directory, 'host-id'))]
  return ids.every((id) => id === '') ? hostName : ids.join(' ')
}

/** Created on first use; empty if the directory is not writable. */
function storedId(path: string): string {
  const known = readLine(path)
  if (known !== '') return known
  try {
    const id = randomUUID()
    writeFileSync(path, `${id}\n`, { mode: 0o600, flush: true })
    return id
  } catch {
    return ''
  }
}

function readLine(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    if (errorCode(error) === undefined) throw error
    return ''
  }
}
