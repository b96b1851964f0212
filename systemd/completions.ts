import { allCommands, type CommandNode, type OptionNode } from './command-tree.ts'

/** A shell with completions for `tidewatch`. */
export type Shell = 'bash' | 'zsh' | 'fish'

/** The completion script for a shell, generated from the command tree. */
export function completions(shell: Shell, tree: CommandNode): string {
  return { bash, zsh, fish }[shell](tree)
}

/** The script follows the words before the cursor down the command tree and offers the possible next words. */
function bash(tree: CommandNode): string {
  const commands = allCommands(tree)
  const steps = commands
    .filter(({ words }) => words.length > 0)
    .map(({ words }) => `      ${quoted(words.join(' '))}) path=${quoted(words.join(' '))} ;;`)
  const cases = commands.map(
    ({ words, options, takesFile, commands: below }) =>
      `    ${quoted(words.join(' '))}) words=${quoted([...below.map(nameOf), ...options.map(({ flag }) => flag), '--help'].join(' '))}${takesFile ? ' files=-f' : ''} ;;`,
  )
  return `# bash completion for tidewatch
_tidewatch() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} path='' words='' files='' word
  [ "$current" = '=' ] && current=''
  [ "$previous" = '=' ] && previous=\${COMP_WORDS[COMP_CWORD-2]}
  [ "\${COMP_WORDS[COMP_CWORD]}" = '=' ] && previous=\${COMP_WORDS[COMP_CWORD-1]}
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${path:+$path }$word" in
${steps.join('\n')}
    esac
  done
  case "$path $previous" in
${values(commands).join('\n')}
  esac
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen $files -W "$words" -- "$current"))
}
complete -F _tidewatch tidewatch
`
}

function values(commands: readonly CommandNode[]): string[] {
  return commands.flatMap(({ words, options }) =>
    options
      .filter(({ takesValue }) => takesValue)
      .map((option) => `    ${quoted(`${words.join(' ')} ${option.flag}`)}) ${bashValue(option)}; return ;;`),
  )
}

function bashValue({ choices, names }: OptionNode): string {
  if (choices.length > 0) return `COMPREPLY=($(compgen -W ${quoted(choices.join(' '))} -- "$current"))`
  if (names === null) return 'COMPREPLY=()'
  return `COMPREPLY=($(compgen -${names === 'file' ? 'f' : 'd'} -- "$current"))`
}

function zsh(tree: CommandNode): string {
  const functions = allCommands(tree).map(({ words, options, commands, takesFile }) => {
    const specifications = [...options.map(zshOption), `'--help[display help]'`]
    const body =
      commands.length === 0
        ? `  _arguments ${specifications.join(' ')}${takesFile ? " '1:file:_files'" : ''}`
        : [
            `  local state`,
            `  _arguments -C ${specifications.join(' ')} '1: :->command' '*:: :->rest'`,
            `  case $state in`,
            `    command) _values command ${commands.map((one) => quoted(`${nameOf(one)}[${zshText(one.description)}]`)).join(' ')} ;;`,
            `    rest) case $words[1] in`,
            ...commands.map((one) => `      ${nameOf(one)}) ${zshFunction(one.words)} ;;`),
            `    esac ;;`,
            `  esac`,
          ].join('\n')
    return `${zshFunction(words)}() {\n${body}\n}\n`
  })
  return `#compdef tidewatch\n${functions.join('\n')}\n_tidewatch "$@"\n`
}

function zshFunction(words: readonly string[]): string {
  return ['_tidewatch', ...words].join('_')
}

function zshOption({ flag, description, takesValue, choices, names }: OptionNode): string {
  const files = { file: '_files', directory: '_files -/' }
  const value = choices.length > 0 ? `(${choices.join(' ')})` : names === null ? ' ' : files[names]
  return quoted(
    `${flag}${takesValue ? '=' : ''}[${zshText(description)}]${takesValue ? `:value:${value}` : ''}`,
  )
}

function zshText(text: string): string {
  return text.replace(/[[\]:\\]/g, '\\$&')
}

function fish(tree: CommandNode): string {
  const lines = allCommands(tree).flatMap(({ words, options, commands, takesFile }) => {
    const children = commands.map(nameOf).join(' ')
    const seen = words.map((word) => `__fish_seen_subcommand_from ${word}`)
    const here = [...seen, ...(children === '' ? [] : [`not __fish_seen_subcommand_from ${children}`])]
    const only = `complete -c tidewatch -n ${quoted(here.join('; and '))}`
    const below = commands.map((one) => `${only} -f -a ${nameOf(one)} -d ${fishQuoted(one.description)}`)
    const files = takesFile ? [`${only} -F`] : commands.length === 0 ? [`${only} -f`] : []
    return [...below, ...files, ...options.map((option) => `${only} ${fishOption(option)}`)]
  })
  return `# fish completion for tidewatch\n${lines.join('\n')}\n`
}

function fishOption({ flag, description, takesValue, choices, names }: OptionNode): string {
  const value = choices.length > 0 ? ` -x -a ${quoted(choices.join(' '))}` : names === null ? ' -x' : ' -r -F'
  return `-l ${flag.slice(2)}${takesValue ? value : ''} -d ${fishQuoted(description)}`
}

function nameOf({ words }: CommandNode): string {
  return words.at(-1) ?? ''
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

function fishQuoted(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&')}'`
}
