import { runCommandLine } from './cli/index.ts'

// Only the daemon's own user may read what it writes: findings quote command lines.
process.umask(0o077)
process.exitCode = await runCommandLine(process.argv)
