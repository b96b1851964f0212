import { allCommands, type CommandNode, type OptionNode } from './command-tree.ts'

export type Manual = {
  tree: CommandNode
  version: string
  /** `2026-11-24` */
  date: string
}

/** The manual page tidewatch(1) in man(7) format. Commands and options come from the command tree. */
export function manualPage({ tree, version, date }: Manual): string {
  const commands = allCommands(tree).filter(
    ({ words, commands: below }) => words.length > 0 && below.length === 0,
  )
  return `${[
    `.TH TIDEWATCH 1 ${date} ${quoted(`tidewatch ${version}`)}`,
    '.SH NAME',
    'tidewatch \\- runtime behaviour monitor for Docker hosts',
    '.SH SYNOPSIS',
    '.B tidewatch',
    '[\\fIcommand\\fR] [\\fIoption\\fR...]',
    '.SH DESCRIPTION',
    ...paragraphs(description),
    '.SH COMMANDS',
    ...commands.flatMap(commandLines),
    '.SH ENVIRONMENT',
    ...paragraphs([
      'Options with a variable above can be set by that environment variable. Flags take precedence over environment variables, those over the configuration file, and that over the defaults.',
    ]),
    ...[...variables(commands)].flatMap(([variable, flag]) => ['.TP', `.B ${text(variable)}`, text(flag)]),
    '.SH FILES',
    ...definitions(files),
    '.SH SIGNALS',
    ...definitions(signals),
    '.SH EXIT STATUS',
    ...definitions(exits),
    '.SH SEE ALSO',
    '.BR systemctl (1),',
    '.BR journalctl (1),',
    '.BR docker (1)',
  ].join('\n')}\n`
}

const description = [
  'tidewatch watches the Docker Engine’s events, the kernel’s processes, the containers’ cgroups and the runtime’s own files, and reports exec into containers, unexpected root processes, writes to the runc path and breaches of resource limits, as Prometheus metrics, Alertmanager alerts and a store of findings.',
  'It is read-only: it changes nothing in the engine or in containers.',
]

const files: [string, string][] = [
  ['/etc/tidewatch/tidewatch.yml', 'Configuration of the service.'],
  ['/etc/default/tidewatch', 'Environment of the service.'],
  ['/var/lib/tidewatch', 'Findings, learned profiles, and the position in the Docker event stream.'],
  ['/usr/share/doc/tidewatch/examples/without-ebpf.conf', 'Drop-in for the unit on hosts without eBPF.'],
]

const signals: [string, string][] = [
  ['SIGTERM, SIGINT', 'Stop without losing data.'],
  ['SIGHUP', 'Reload the configuration.'],
]

const exits: [string, string][] = [
  ['0', 'Stopped by a signal, or the command succeeded.'],
  ['78', 'The configuration or the command line is invalid.'],
  ['1', 'Any other error, with a one-sentence message.'],
]

function commandLines({ usage, description: what, options }: CommandNode): string[] {
  return [`.SS ${quoted(text(usage))}`, ...paragraphs([sentence(what)]), ...options.flatMap(optionLines)]
}

function optionLines({ usage, description: what, choices, variable }: OptionNode): string[] {
  const isNamed = choices.every((choice) => what.includes(choice))
  const more = [
    choices.length > 0 && !isNamed ? ` One of ${choices.join(', ')}.` : '',
    variable === undefined ? '' : ` Variable: ${variable}.`,
  ]
  return ['.TP', `.B ${text(usage)}`, text(`${what}.${more.join('')}`)]
}

function variables(commands: readonly CommandNode[]): Map<string, string> {
  const all = commands.flatMap(({ options }) => options)
  return new Map(all.flatMap(({ variable, flag }) => (variable === undefined ? [] : [[variable, flag]])))
}

function definitions(rows: readonly [string, string][]): string[] {
  return rows.flatMap(([term, what]) => ['.TP', `.B ${text(term)}`, text(what)])
}

function paragraphs(texts: readonly string[]): string[] {
  return texts.flatMap((one, index) => (index === 0 ? [text(one)] : ['.PP', text(one)]))
}

function sentence(what: string): string {
  return `${what.charAt(0).toUpperCase()}${what.slice(1)}${what.endsWith('.') ? '' : '.'}`
}

/** Escapes backslashes, hyphens (which would become dashes), and a leading dot or quote (which would be a request). */
function text(plain: string): string {
  return plain
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('’', '\\(cq')
    .replace(/^(?=[.'])/, '\\&')
}

function quoted(words: string): string {
  return `"${words.replaceAll('"', '\\(dq')}"`
}
