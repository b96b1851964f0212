const separator = ' › '

/** The title prefix that ava derives from a file's path: `policy › allow`. */
export function titlePrefix(file: string): string {
  return file
    .replace(/^test\//, '')
    .replace(/\.test\.ts$/, '')
    .replaceAll('/', separator)
}

/** Titles of the tests in `files`, whatever ava left out of their prefix. */
export class Titles {
  readonly #files: readonly string[]

  constructor(files: readonly string[]) {
    this.#files = files
  }

  /** The title with the whole prefix of its file: of a run over few files ava leaves out the folders they share. */
  whole(title: string): string {
    const file = this.fileOf(title)
    if (file === undefined) return title
    const prefix = titlePrefix(file)
    const shown = longestShown(prefix, title)
    return [prefix, shown === undefined ? title : title.slice(shown.length + separator.length)].join(
      separator,
    )
  }

  /** The file of a test; undefined when several could be it. */
  fileOf(title: string): string | undefined {
    if (this.#files.length === 1) return this.#files[0]
    const matches = this.#files
      .map((file) => ({ file, length: longestShown(titlePrefix(file), title)?.length ?? 0 }))
      .filter(({ length }) => length > 0)
      .toSorted((a, b) => b.length - a.length)
    return matches[0]?.length === matches[1]?.length ? undefined : matches[0]?.file
  }
}

/** The longest end of a prefix that the title starts with. */
function longestShown(prefix: string, title: string): string | undefined {
  const parts = prefix.split(separator)
  for (let from = 0; from < parts.length; from++) {
    const end = parts.slice(from).join(separator)
    if (title.startsWith(`${end}${separator}`)) return end
  }
  return undefined
}
