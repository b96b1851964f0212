import { globSync } from 'node:fs'
import { ava } from './ava.ts'
import { testFiles } from './files.ts'
import { type Outcome, settle } from './retry.ts'

/** Runs ava with these arguments, and runs failed files once more, alone. */
export async function runChosen(args: readonly string[]): Promise<Outcome> {
  const named = args.filter((arg) => !arg.startsWith('-')).flatMap((arg) => globSync(arg))
  // ava only prefixes titles with file names when several files run, so a single file must be named.
  const files = named.length > 0 && named.every((file) => file.endsWith('.test.ts')) ? named : testFiles('.')
  const options = args.filter((arg) => arg.startsWith('-') && arg !== '--serial')
  return await settle([await ava(args)], files, options)
}
