/**
 * Truncates untrusted text and appends a mark. Lengths are in UTF-16 units and include the mark; pass `length` if
 * `text` is only the beginning of a longer text.
 */
export function clip(text: string, max: number, length = text.length): string {
  if (length <= max) return text
  const mark = `…[${length} characters]`
  return text.slice(0, Math.max(0, max - mark.length)) + mark
}

// Control characters break lines and terminals; bidirectional overrides and invisible characters make text look like
// something else (CVE-2021-42574).
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/** Escapes characters that could break a line, control a terminal or deceive a reader. */
export function printable(text: string): string {
  return text.replace(unprintable, escapeCharacter)
}

function escapeCharacter(character: string): string {
  if (character === '\n') return '\\n'
  if (character === '\r') return '\\r'
  if (character === '\t') return '\\t'
  const code = character.codePointAt(0) ?? 0
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, '0')}`
  return `\\u{${code.toString(16)}}`
}

/** Formats an argv as one line to read and paste, with arguments quoted where a shell would split them. */
export function commandLine(argv: readonly string[]): string {
  return argv.map(quoteArgument).join(' ')
}

/** A command as summaries quote it: bounded, between backticks. */
export function quotedCommand(argv: readonly string[]): string {
  return `\`${clip(commandLine(argv), maxQuotedCommand)}\``
}

const maxQuotedCommand = 160

function quoteArgument(argument: string): string {
  if (/^[\w@%+=:,./-]+$/.test(argument)) return argument
  return `'${argument.replaceAll("'", `'\\''`)}'`
}

/** The last component of a path, such as a program's name. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** Copies a substring that outlives its large source: V8 makes it a slice that keeps the whole source in memory. */
export function detached(slice: string): string {
  return Buffer.from(slice, 'utf16le').toString('utf16le')
}

// Enough to see what was run; a command line may be 2 MB long, and attackers choose it.
const maxArguments = 64
const maxArgument = 1_024

/** Truncates an argv for evidence and marks what was left out. */
export function clipArgv(argv: readonly string[]): string[] {
  const shown = argv.slice(0, maxArguments).map((argument) => clip(argument, maxArgument))
  const left = argv.length - shown.length
  return left > 0 ? [...shown, `…[${left} more arguments]`] : shown
}
