import { globSync } from 'node:fs'
import { ava } from './ava.ts'
import { testFiles } from './files.ts'
import { type Outcome, settle } from './retry.ts'

/** Runs ava with these arguments, and what failed once more, alone. */
export async function runChosen(args: readonly string[]): Promise<Outcome> {
  const named = args.filter((arg) => !arg.startsWith('-')).flatMap((arg) => globSync(arg))
  // A title has the prefix of its file only where several files run, so that one file has to be known by its name.
  const files = named.length > 0 && named.every((file) => file.endsWith('.test.ts')) ? named : testFiles('.')
  const options = args.filter((arg) => arg.startsWith('-') && arg !== '--serial')
  return await settle([await ava(args)], files, options)
}
