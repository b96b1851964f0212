import { baseName } from '../lib/text.ts'

/** What is taken for a program of the host: where its file lies, and which programs run scripts. */
export type Installed = { folders: RegExp; interpreters: RegExp }

/**
 * Which installed program runs, by its file and never by what it calls itself: its name, and of an interpreter that of
 * its script; both empty for what lies elsewhere, where any file could be called so.
 */
export function installedProgram(
  { exe, argv }: { exe: string; argv: readonly string[] },
  { folders, interpreters }: Installed,
): { name: string; script: string } {
  const path = exe.replace(/ \(deleted\)$/, '')
  if (!folders.test(path)) return { name: '', script: '' }
  const name = baseName(path)
  if (!interpreters.test(name)) return { name, script: '' }
  // The interpreter's own options come first: dnf is run with -s or -Es.
  const script = argv.slice(1).find((argument) => !argument.startsWith('-')) ?? ''
  return { name, script: folders.test(script) ? baseName(script) : '' }
}
