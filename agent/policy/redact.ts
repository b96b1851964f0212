import { RE2JS } from 're2js'
import type { Json } from '../model/finding.ts'
import { isList, mapFields, mapItems } from '../model/json.ts'
import { type Argument, isQuoted, maskArguments } from './command-secrets.ts'
import { rememberRecent } from '../lib/remember-last.ts'
import type { Redactor } from '../model/redactor.ts'
import { isSecretName, mask, maskSecrets } from './secrets.ts'

export type RedactorOptions = {
  /** Whether known forms of secrets are masked. */
  secrets: boolean
  /** Additional RE2 patterns: the first group of each, or the whole match, is masked. */
  patterns: readonly string[]
}

/** Redacts once, before store, log, status page and alerts, so that no output can miss it. */
export function createRedactor({ secrets, patterns }: RedactorOptions): Redactor {
  const further = patterns.map((pattern) => RE2JS.compile(pattern))
  const own =
    further.length === 0 ? asItIs : rememberRecent((given) => further.reduce<string>(maskPattern, given))
  const known = secrets ? rememberRecent(maskText) : asItIs
  const isSecret = rememberRecent(isSecretName)
  const text = (given: string) => own(known(given))

  function json(value: Json): Json {
    if (typeof value === 'string') return text(value)
    if (typeof value !== 'object' || value === null) return value
    if (isList(value)) return isTexts(value) ? argv(value) : mapItems(value, json)
    return mapFields(value, field)
  }

  function argv(list: readonly string[]): readonly string[] {
    const masked = secrets ? maskArguments(list, maskAlone) : list
    return own === asItIs ? masked : masked.map(own)
  }

  function field(key: string, value: Json): Json {
    return secrets && typeof value === 'string' && value !== '' && isSecret(key) ? mask : json(value)
  }

  return { text, field }
}

function asItIs(text: string): string {
  return text
}

function isTexts(list: readonly Json[]): list is readonly string[] {
  return list.every((item) => typeof item === 'string')
}

// A word or a quoted text, which may be a command line itself (sh -c '…').
// Backticks around a quoted command are not part of its words.
const word = /'[^']*'|"[^"]*"|[;&|]+|[^\s'";&|`]+(?:'[^']*'|"[^"]*"|`*[^\s'";&|`]+)*/g
const fieldInText =
  /(["']?)([A-Za-z_][\w.-]{1,100})\1(\s{0,3}[:=]\s{0,3})(["'])((?:(?!\4)[^\\]|\\.){1,4096})\4/g
const mayHoldSecret = /[=:@'"-]/
const maxDepth = 4

/** Masks secrets in a readable line, including quoted command lines and the command lines nested in them. */
export function maskText(text: string, depth = 0): string {
  const byForm = maskSecrets(text)
  if (!mayHoldSecret.test(byForm)) return byForm
  const byField = !/["']/.test(byForm)
    ? byForm
    : byForm.replace(fieldInText, (all, quote: string, name: string, sign: string, mark: string) =>
        isSecretName(name) ? `${quote}${name}${quote}${sign}${mark}${mask}${mark}` : all,
      )
  if (depth === maxDepth || !/\s/.test(byField)) return maskArguments([byField], (one) => one)[0] ?? byField
  return maskWords(byField, depth)
}

function maskAlone(text: string, argument: Argument): string {
  return (argument.alone ??= maskText(text))
}

function maskWords(text: string, depth: number): string {
  const words: readonly string[] = text.match(word) ?? []
  const masked = maskArguments(words, (one) => maskQuoted(one, depth))
  if (masked === words) return text
  let out = ''
  let from = 0
  for (const [index, one] of words.entries()) {
    const at = text.indexOf(one, from)
    out += text.slice(from, at) + (masked[index] ?? one)
    from = at + one.length
  }
  return out + text.slice(from)
}

function maskQuoted(one: string, depth: number): string {
  const quoted = isQuoted(one) ? /^(['"])([\s\S]*)\1$/.exec(one) : null
  if (quoted === null) return one
  const [, mark = '', inside = ''] = quoted
  return `${mark}${maskText(inside, depth + 1)}${mark}`
}

function maskPattern(text: string, pattern: RE2JS): string {
  const matcher = pattern.matcher(text)
  let out = ''
  let from = 0
  while (matcher.find()) {
    const group = matcher.groupCount() > 0 ? 1 : 0
    const start = matcher.start(group)
    const end = matcher.end(group)
    if (start < from || end <= start) continue
    out += text.slice(from, start) + mask
    from = end
  }
  return out + text.slice(from)
}
