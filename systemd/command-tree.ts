import type { Command } from 'commander'
import { createProgram } from '../agent/cli/index.ts'

/** One option, as needed for completions and the manual page. */
export type OptionNode = {
  /** `--config.file` */
  flag: string
  /** `--config.file <file>` */
  usage: string
  description: string
  takesValue: boolean
  choices: readonly string[]
  /** Whether the value is the path of a file or directory. */
  names: 'file' | 'directory' | null
  variable: string | undefined
}

/** One command. `words` is its path in the command tree, empty for the program itself. */
export type CommandNode = {
  words: readonly string[]
  usage: string
  description: string
  options: readonly OptionNode[]
  takesFile: boolean
  commands: readonly CommandNode[]
}

/** The command tree as data, so that the documentation always matches the command line. */
export function commandTree(command: Command = createProgram(), words: readonly string[] = []): CommandNode {
  return {
    words,
    usage: ['tidewatch', ...words, ...command.registeredArguments.map(argument)].join(' '),
    description: command.description(),
    options: command.options.map((option) => ({
      flag: option.long ?? '',
      usage: option.flags,
      description: option.description,
      takesValue: option.required || option.optional,
      choices: option.argChoices ?? [],
      names: namesOf(option.flags),
      variable: option.envVar,
    })),
    takesFile: command.registeredArguments.some((one) => one.name() === 'file'),
    commands: command.commands.map((one) => commandTree(one, [...words, one.name()])),
  }
}

/** All commands of a tree, parents before children. */
export function allCommands(tree: CommandNode): CommandNode[] {
  return [tree, ...tree.commands.flatMap(allCommands)]
}

function argument(one: Command['registeredArguments'][number]): string {
  const text = `${one.name()}${one.variadic ? '...' : ''}`
  return one.required ? `<${text}>` : `[${text}]`
}

function namesOf(flags: string): OptionNode['names'] {
  if (flags.includes('<file>')) return 'file'
  return flags.includes('<directory>') ? 'directory' : null
}
