import { Command } from 'commander'
import { loadConfig } from '../config/load.ts'
import { UserError } from '../errors.ts'

/** `tidewatch check-config F`: says everything that is wrong with a configuration file, or that it is right. */
export function checkConfigCommand(): Command {
  return new Command('check-config')
    .description('validate a configuration file and list everything that is wrong with it')
    .argument('[file]', 'the file; $TIDEWATCH_CONFIG_FILE by default')
    .action((argument: string | undefined) => {
      const file = argument ?? process.env['TIDEWATCH_CONFIG_FILE']
      if (file === undefined) throw new UserError('name the file to check: tidewatch check-config FILE')
      loadConfig(file)
      process.stdout.write(`${file}: the configuration is valid\n`)
    })
}
