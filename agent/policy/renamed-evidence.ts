// Evidence fields that had another name in an earlier version. Both names have the same length, so that positions in an
// expression stay valid.
const renamed: Readonly<Record<string, string>> = { told_by: 'seen_by' }

/** An expression with the current names of evidence fields, and the old names that it used. */
export function withCurrentNames(expression: string): { source: string; oldNames: readonly string[] } {
  const oldNames = new Set<string>()
  let source = expression
  for (const [oldName, name] of Object.entries(renamed)) {
    const access = new RegExp(`(\\bevidence\\s*(?:\\.\\s*|\\[\\s*["']))${oldName}\\b`, 'g')
    const membership = new RegExp(`(["'])${oldName}(?=\\1\\s+in\\s+evidence\\b)`, 'g')
    source = source.replace(access, replaced).replace(membership, replaced)

    function replaced(_match: string, before: string): string {
      oldNames.add(oldName)
      return before + name
    }
  }
  return { source, oldNames: [...oldNames] }
}

/** The log line about an old name. */
export function renameNotice(entry: string, oldName: string): string {
  return `${entry} uses evidence.${oldName}, which is deprecated: use evidence.${renamed[oldName] ?? ''} instead`
}
