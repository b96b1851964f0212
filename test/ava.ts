import { globSync } from 'node:fs'
import { ava } from './runner/ava.ts'
import { testFiles } from './runner/files.ts'
import { settle } from './runner/retry.ts'

// Runs ava with the arguments it is given, and what failed once more, alone. The last line counts each test once.

const args = process.argv.slice(2)
const named = args.filter((arg) => !arg.startsWith('-')).flatMap((arg) => globSync(arg))
const files = named.length > 0 && named.every((file) => file.endsWith('.test.ts')) ? named : testFiles('.')
const options = args.filter((arg) => arg.startsWith('-') && arg !== '--serial')
const { passed, failed } = await settle([await ava(args)], files, options)
process.stdout.write(`${passed} passed, ${failed} failed\n`)
process.exitCode = failed === 0 ? 0 : 1
