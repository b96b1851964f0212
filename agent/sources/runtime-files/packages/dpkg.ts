import { readdir, readFile, stat } from 'node:fs/promises'
import { tryRealPath } from '../integrity/files.ts'
import type { PackageManager } from './manager.ts'

/**
 * Debian's packages: info/*.list names the files of a package and info/*.md5sums their digests as packed, under the
 * path that the package uses: before /usr was merged, and before the file was diverted.
 */
export function dpkg(root = ''): PackageManager {
  const folder = `${root}/var/lib/dpkg`
  // Names of lists by path, as of the last change of the installed packages.
  let owners = new Map<string, string | null>()
  // Directories in which no package has a file: a file there need not be searched for in a thousand lists.
  const foreignFolders = new Set<string>()
  let version = ''

  return {
    name: 'dpkg',
    async ownerOf(path) {
      const info = await versionOf(`${folder}/info`)
      if (info === null) return null
      if (info !== version) {
        owners = new Map([...owners].filter(([, owner]) => owner !== null))
        foreignFolders.clear()
        version = info
      }
      const names = packedNames(path, parseDiversions(await read(`${folder}/diversions`)), root)
      const owner = await findOwner(path, names)
      if (owner === null) return null
      const [name = ''] = owner.split(':')
      const sums = await read(`${folder}/info/${owner}.md5sums`)
      const { status, version: packageVersion, conffiles } = await stateOf(name)
      const hex = status.includes('half-installed') ? undefined : digestIn(`${sums}\n${conffiles}`, names)
      return {
        name,
        version: packageVersion,
        digest: hex === undefined ? null : { algorithm: 'md5', hex },
      }
    },
  }

  async function findOwner(path: string, names: readonly PackedName[]): Promise<string | null> {
    const known = owners.get(path)
    if (known === null) return null
    if (known !== undefined && lists(await read(`${folder}/info/${known}.list`), known, names)) return known
    const folders = names.map((name) => folderOf(name.path))
    if (folders.every((one) => foreignFolders.has(one))) return null
    const foldersWithFiles = new Set<string>()
    for (const owner of await listNames(path)) {
      const list = await read(`${folder}/info/${owner}.list`)
      if (lists(list, owner, names)) {
        owners.set(path, owner)
        return owner
      }
      for (const one of folders) if (list.includes(`\n${one}/`)) foldersWithFiles.add(one)
    }
    for (const one of folders) if (!foldersWithFiles.has(one)) foreignFolders.add(one)
    owners.set(path, null)
    return null
  }

  /**
   * The likely owners first, because there are a thousand lists: packages that own an earlier file (most of an engine's
   * programs are in one), then those that are named like the file.
   */
  async function listNames(path: string): Promise<string[]> {
    const files = await readdir(`${folder}/info`)
    const all = files.filter((file) => file.endsWith('.list')).map((file) => file.slice(0, -'.list'.length))
    const known = new Set(owners.values())
    const program = path.slice(path.lastIndexOf('/') + 1)
    const likelihood = (name: string) => (known.has(name) ? program.length + 1 : commonPrefix(name, program))
    return all.toSorted((a, b) => likelihood(b) - likelihood(a))
  }

  /** Unfinished operations of dpkg are recorded in updates/; later files are newer. */
  async function stateOf(name: string): Promise<Paragraph> {
    const updates = await readdir(`${folder}/updates`).catch(() => [])
    for (const file of updates
      .filter((one) => /^\d+$/.test(one))
      .toSorted()
      .toReversed()) {
      const entry = paragraphOf(await read(`${folder}/updates/${file}`), name)
      if (entry !== null) return entry
    }
    return paragraphOf(await read(`${folder}/status`), name) ?? { version: '', status: '', conffiles: '' }
  }
}

/** A path as packages name it; `only` and `except` come from diversions. */
export type PackedName = { path: string; only?: string; except?: string }

export type Diversion = { from: string; to: string; by: string }

/** Reads /var/lib/dpkg/diversions: three lines each, with `:` for the administrator's own. */
export function parseDiversions(text: string): Diversion[] {
  const lines = text.split('\n')
  const diversions: Diversion[] = []
  for (let at = 0; at + 2 < lines.length; at += 3) {
    diversions.push({ from: lines[at] ?? '', to: lines[at + 1] ?? '', by: lines[at + 2] ?? '' })
  }
  return diversions
}

/** The names under which, and the packages in which, a file may have been packed. */
export function packedNames(path: string, diversions: readonly Diversion[], root = ''): PackedName[] {
  const spellings = spellingsOf(path, root)
  const names: PackedName[] = spellings.map((spelling) => {
    const away = diversions.find(({ from }) => from === spelling)
    // The files of other packages are diverted elsewhere; only the diverting package's own file can be at this path.
    return away === undefined ? { path: spelling } : { path: spelling, only: away.by }
  })
  for (const { from, to, by } of diversions) {
    if (spellings.includes(to)) names.push(...spellingsOf(from, root).map((p) => ({ path: p, except: by })))
  }
  return names
}

/** With and without /usr where /usr is merged. */
function spellingsOf(path: string, root: string): string[] {
  const merged = /^\/usr(\/(?:s?bin|lib\w*))\//.exec(path)?.[1]
  if (merged === undefined) return [path]
  const isMerged = tryRealPath(root + merged) === tryRealPath(`${root}/usr${merged}`)
  return isMerged && tryRealPath(root + merged) !== '' ? [path, path.slice('/usr'.length)] : [path]
}

/** How many characters at the start of both texts are the same. */
function commonPrefix(a: string, b: string): number {
  let length = 0
  while (length < a.length && a[length] === b[length]) length += 1
  return length
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}

function lists(list: string, owner: string, names: readonly PackedName[]): boolean {
  const [name] = owner.split(':')
  return names.some(
    ({ path, only, except }) =>
      (only === undefined || only === name) &&
      (except === undefined || except !== name) &&
      (list.startsWith(`${path}\n`) || list.includes(`\n${path}\n`)),
  )
}

/** Lines of md5sums(5) name paths without the leading slash. */
export function digestIn(sums: string, names: readonly PackedName[]): string | undefined {
  for (const line of sums.split('\n')) {
    const [, hex, path] = /^([0-9a-f]{32}) {2}(.+)$/.exec(line) ?? []
    if (names.some((name) => name.path === `/${path}`)) return hex
  }
  return undefined
}

/** `conffiles` holds the digests of the package's configuration files as packed, in the format of md5sums. */
export type Paragraph = { version: string; status: string; conffiles: string }

/** Finds a package's version, status and digests in a file of paragraphs. */
export function paragraphOf(text: string, name: string): Paragraph | null {
  const head = `Package: ${name}\n`
  const start = text.startsWith(head) ? 0 : text.indexOf(`\n${head}`)
  if (start < 0) return null
  const end = text.indexOf('\n\n', start + 1)
  const paragraph = text.slice(start, end < 0 ? undefined : end)
  return {
    version: /^Version: (.*)$/m.exec(paragraph)?.[1] ?? '',
    status: /^Status: (.*)$/m.exec(paragraph)?.[1] ?? '',
    conffiles: conffilesIn(paragraph),
  }
}

/** Each line is a path and its digest, and a further word when the package no longer contains the file. */
function conffilesIn(paragraph: string): string {
  const [, lines = ''] = /^Conffiles:\n((?: .*(?:\n|$))*)/m.exec(paragraph) ?? []
  return lines.replace(/^ \/(.+) ([0-9a-f]{32})$/gm, '$2  $1')
}

/** Changes whenever a file in the directory is added, removed or replaced; null when there is no directory. */
async function versionOf(directory: string): Promise<string | null> {
  try {
    const { mtimeNs, ino } = await stat(directory, { bigint: true })
    return `${ino}:${mtimeNs}`
  } catch {
    return null
  }
}

/** Empty for a missing file: a package without md5sums, or one that was removed meanwhile. */
async function read(path: string): Promise<string> {
  return await readFile(path, 'latin1').catch(() => '')
}
