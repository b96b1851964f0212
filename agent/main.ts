import { runCommandLine } from './cli/index.ts'

// What the daemon writes (findings quote command lines) is for its own user only.
process.umask(0o077)
process.exitCode = await runCommandLine(process.argv)
