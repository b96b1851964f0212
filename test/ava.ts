import { runChosen } from './runner/chosen.ts'

// Runs ava with the given arguments, and retries failed files once, alone. The last line counts each test once.

const { passed, failed } = await runChosen(process.argv.slice(2))
process.stdout.write(`${passed} passed, ${failed} failed\n`)
process.exitCode = failed === 0 ? 0 : 1
