import type { FileState, PackageFile } from '../../../model/observation.ts'
import { detached } from '../../../lib/text.ts'
import { readDigest } from '../integrity/hash.ts'
import type { AskPackages } from '../integrity/verify.ts'
import { apk } from './apk.ts'
import { dpkg } from './dpkg.ts'
import { rpm } from './rpm.ts'
import { snap } from './snap.ts'
import { type PackageManager, type OwnedFile } from './manager.ts'

/** All package managers whose databases tidewatch can read; those that the host does not have return null. */
export function hostPackages(root = ''): readonly PackageManager[] {
  return [dpkg(root), rpm(root), apk(root), snap(root)]
}

/** Compares files with their packages, one at a time: hashing them all at once would be a burst. */
export function askPackages(
  managers: readonly PackageManager[],
  { signal, read = readDigest }: { signal?: AbortSignal; read?: typeof readDigest } = {},
): AskPackages {
  let queue: Promise<unknown> = Promise.resolve()
  const known = new Map<string, { sha256: string; algorithm: string; hex: string }>()
  return (path, state) => {
    const answer = queue.then(() => ask(path, state))
    queue = answer.catch(() => undefined)
    return answer
  }

  async function ask(path: string, state: FileState | null): Promise<PackageFile | null> {
    for (const manager of managers) {
      const owner = await manager.ownerOf(path)
      if (owner === null) continue
      const { name, version, digest } = detachedFrom(owner)
      return { manager: manager.name, name, version, matches: await matches(path, state, digest) }
    }
    return null
  }

  async function matches(
    path: string,
    state: FileState | null,
    digest: OwnedFile['digest'],
  ): Promise<boolean | null> {
    if (digest === 'unchangeable') return state !== null
    if (digest === null || state === null) return null
    if (digest.algorithm === 'sha256') return digest.hex === state.sha256
    const before = known.get(path)
    if (before?.sha256 === state.sha256 && before.algorithm === digest.algorithm)
      return before.hex === digest.hex
    // Null when the file was replaced since it was hashed; the new file is compared when it is read.
    const hex = await read(path, state, digest.algorithm, signal)
    if (hex === null) return null
    known.set(path, { sha256: state.sha256, algorithm: digest.algorithm, hex })
    return hex === digest.hex
  }
}

/** Copies the strings, so that they do not keep a database of megabytes in memory. */
function detachedFrom({ name, version, digest }: OwnedFile): OwnedFile {
  const isText = digest !== null && digest !== 'unchangeable'
  return {
    name: detached(name),
    version: detached(version),
    digest: isText ? { ...digest, hex: detached(digest.hex) } : digest,
  }
}
