/**
 * Cuts hostile text to a length and says that it did. Length is in UTF-16 units, the mark included; `length` is that
 * of the whole where `text` is only its beginning.
 */
export function clip(text: string, max: number, length = text.length): string {
  if (length <= max) return text
  const mark = `…[${length} characters]`
  return text.slice(0, Math.max(0, max - mark.length)) + mark
}

// Control characters break lines and terminals; bidirectional overrides and invisible
// characters make text read differently from what it is (CVE-2021-42574).
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/** Escapes whatever could break a line, drive a terminal or deceive a reader. */
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

/** An argv as one line that a person can read and paste: quoted where a shell would split it. */
export function commandLine(argv: readonly string[]): string {
  return argv.map(quoteArgument).join(' ')
}

function quoteArgument(argument: string): string {
  if (/^[\w@%+=:,./-]+$/.test(argument)) return argument
  return `'${argument.replaceAll("'", `'\\''`)}'`
}

/** The last part of a path: what people call a program by. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/**
 * A piece of a large text that is kept for longer than the text itself: V8 makes of it a part of the whole, which then
 * stays in memory too.
 */
export function detached(piece: string): string {
  return Buffer.from(piece, 'utf16le').toString('utf16le')
}

// Enough to see what was run; a command line may be 2 MB long, and the attacker chooses it.
const maxArguments = 64
const maxArgument = 1_024

/** An argv as evidence: bounded, and saying where something was left out. */
export function clipArgv(argv: readonly string[]): string[] {
  const kept = argv.slice(0, maxArguments).map((argument) => clip(argument, maxArgument))
  const left = argv.length - kept.length
  return left > 0 ? [...kept, `…[${left} more arguments]`] : kept
}
