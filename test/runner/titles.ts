const separator = ' › '

/** The title prefix that ava derives from a file's path: `policy › allow`. */
export function titlePrefix(file: string): string {
  return file
    .replace(/^test\//, '')
    .replace(/\.test\.ts$/, '')
    .replaceAll('/', separator)
}

/** Maps test titles to `files`, although ava omits parts of their prefix. */
export class Titles {
  readonly #files: readonly string[]

  constructor(files: readonly string[]) {
    this.#files = files
  }

  /** The title with the full prefix of its file: ava omits the folders that all files of a run share. */
  whole(title: string): string {
    const file = this.fileOf(title)
    if (file === undefined) return title
    const prefix = titlePrefix(file)
    const shown = longestShown(prefix, title)
    return [prefix, shown === undefined ? title : title.slice(shown.length + separator.length)].join(
      separator,
    )
  }

  /** The file of a test; undefined if several match. */
  fileOf(title: string): string | undefined {
    if (this.#files.length === 1) return this.#files[0]
    const matches = this.#files
      .map((file) => ({ file, length: longestShown(titlePrefix(file), title)?.length ?? 0 }))
      .filter(({ length }) => length > 0)
      .toSorted((a, b) => b.length - a.length)
    return matches[0]?.length === matches[1]?.length ? undefined : matches[0]?.file
  }
}

/** The longest suffix of a prefix that the title starts with. */
function longestShown(prefix: string, title: string): string | undefined {
  const parts = prefix.split(separator)
  for (let from = 0; from < parts.length; from++) {
    const end = parts.slice(from).join(separator)
    if (title.startsWith(`${end}${separator}`)) return end
  }
  return undefined
}
