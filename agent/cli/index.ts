import { Command, CommanderError } from 'commander'
import { exitConfiguration, UserError } from '../lib/errors.ts'
import { version } from '../lib/version.ts'
import { checkConfigCommand } from './check-config.ts'
import { checkReadyCommand } from './check-ready.ts'
import { findingsCommand } from './findings.ts'
import { profileCommand } from './profile.ts'
import { rulesCommand } from './rules.ts'
import { runtimeCommand } from './runtime.ts'
import { runCommand } from './run.ts'

/** The whole command tree; shell completions, the manual page and `--help` are generated from it. */
export function createProgram(): Command {
  const program = new Command('tidewatch')
    .description('Runtime behaviour monitor for Docker hosts')
    .addCommand(runCommand(), { isDefault: true })
    .addCommand(checkConfigCommand())
    .addCommand(checkReadyCommand())
    .addCommand(findingsCommand())
    .addCommand(rulesCommand())
    .addCommand(profileCommand())
    .addCommand(runtimeCommand())
    .addCommand(
      new Command('version').description('print the version').action(() => print(`tidewatch ${version}`)),
    )
  for (const command of [program, ...program.commands.flatMap((one) => [one, ...one.commands])])
    command.exitOverride().showHelpAfterError(false)
  return program
}

/** Runs a command line and resolves to the exit code: 0 success, 78 configuration error, 1 any other error. */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  try {
    await createProgram().parseAsync(argv)
    return 0
  } catch (error) {
    // Commander has already printed its message or the requested help.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitConfiguration
    if (!(error instanceof UserError)) throw error
    process.stderr.write(`tidewatch: ${error.message}\n`)
    return error.exitCode
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
