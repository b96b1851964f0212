import { readFile } from 'node:fs/promises'
import type { OwnedFile, PackageManager } from './manager.ts'

/** Alpine's packages: one database of lines, each a letter, a colon and a value (apk-v2(5)). */
export function apk(root = ''): PackageManager {
  return {
    name: 'apk',
    async ownerOf(path) {
      const databases = [`${root}/lib/apk/db/installed`, `${root}/usr/lib/apk/db/installed`]
      for (const database of databases) {
        const text = await readFile(database, 'latin1').catch(() => '')
        const owner = findInApkDatabase(text, path)
        if (owner !== null) return owner
      }
      return null
    },
  }
}

/** `P` and `V` begin a package, `F` is a directory, `R` a file in it, `Z` that file's digest: `Q1` and SHA-1 in base64. */
export function findInApkDatabase(text: string, path: string): OwnedFile | null {
  const slash = path.lastIndexOf('/')
  const [directory, file] = [path.slice(1, slash), path.slice(slash + 1)]
  // Only packages that name the file are parsed: a database has some megabytes.
  for (let at = text.indexOf(`\nR:${file}\n`); at >= 0; at = text.indexOf(`\nR:${file}\n`, at + 1)) {
    const start = text.lastIndexOf('\n\n', at) + 1
    const before = text.slice(start, at)
    if (/^F:(.*)$/m.exec(before.slice(before.lastIndexOf('\nF:') + 1))?.[1] !== directory) continue
    const [after = ''] = text.slice(at + 1).split(/\n(?=[RFP]:)|\n\n/, 1)
    const digest = /^Z:Q1(.+)$/m.exec(after)?.[1]
    return {
      name: /^P:(.*)$/m.exec(before)?.[1] ?? '',
      version: /^V:(.*)$/m.exec(before)?.[1] ?? '',
      digest:
        digest === undefined
          ? null
          : { algorithm: 'sha1', hex: Buffer.from(digest, 'base64').toString('hex') },
    }
  }
  return null
}
