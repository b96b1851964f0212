import { baseName } from '../lib/text.ts'

/** How installed programs are recognised: by their folders, and which of them are interpreters of scripts. */
export type Installed = { folders: RegExp; interpreters: RegExp }

/**
 * Which installed program is running, by its file and never by its own claim: its name, and for an interpreter also
 * the name of its script. Both are empty for files in other folders, where any file could have that name.
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
