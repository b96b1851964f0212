import { Command } from 'commander'
import { runDaemon } from '../daemon/run.ts'
import { addOption, collect, type Flags, resolveConfig } from './options.ts'

/** `tidewatch run`: the daemon, and the default command. */
export function runCommand(): Command {
  const command = new Command('run').description('monitor this host (the default command)')
  addOption(command, '--config.file <file>', 'configuration file (YAML)')
  addOption(command, '--docker.host <host>', 'Docker Engine: unix:///path or tcp://host:port')
  addOption(
    command,
    '--web.listen-address <address>',
    'address for metrics and status page; repeatable',
    collect,
  )
  addOption(command, '--web.config.file <file>', 'TLS, users and HTTP headers of the endpoint (web.yml)')
  addOption(command, '--state.directory <directory>', 'directory for findings and other state')
  addOption(command, '--log.level <level>', 'minimum log level: debug, info, warn or error')
  addOption(command, '--log.format <format>', 'json, text, journald or syslog')
  return command.action((flags: Flags) => runDaemon(resolveConfig(flags), () => resolveConfig(flags)))
}
