import { Command } from 'commander'
import { runDaemon } from '../daemon/run.ts'
import { addOption, collect, type Flags, resolveConfig } from './options.ts'

/** `tidewatch run`, also what `tidewatch` alone does: the daemon. */
export function runCommand(): Command {
  const command = new Command('run').description('watch this host (the default command)')
  addOption(command, '--config.file <file>', 'configuration file (YAML)')
  addOption(command, '--docker.host <host>', 'unix:///path or tcp://host:port of the Docker Engine')
  addOption(command, '--web.listen-address <address>', 'where to serve metrics; may be repeated', collect)
  addOption(command, '--web.config.file <file>', 'TLS, users and headers of the endpoint (web.yml)')
  addOption(command, '--state.directory <directory>', 'where findings and the cursor are kept')
  addOption(command, '--log.level <level>', 'debug, info, warn or error')
  addOption(command, '--log.format <format>', 'json, text for people, journald or syslog')
  return command.action((flags: Flags) => runDaemon(resolveConfig(flags), () => resolveConfig(flags)))
}
