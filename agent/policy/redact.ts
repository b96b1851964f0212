import { RE2JS } from 're2js'
import type { Json } from '../model/finding.ts'
import { isList, mapFields, mapItems } from '../model/json.ts'
import { type Argument, isQuoted, maskArguments } from './command-secrets.ts'
import { remembering } from '../lib/remember-last.ts'
import type { Redactor } from '../model/redactor.ts'
import { isSecretName, mask, maskSecrets } from './secrets.ts'

export type RedactorOptions = {
  /** Whether what is known to be secret is masked. */
  secrets: boolean
  /** Further patterns (RE2): the first group of each, or all of it, is masked. */
  patterns: readonly string[]
}

/** Redaction stands before store, log, page and alerts alike, so that none of them can forget it. */
export function createRedactor({ secrets, patterns }: RedactorOptions): Redactor {
  const further = patterns.map((pattern) => RE2JS.compile(pattern))
  const own =
    further.length === 0 ? asItIs : remembering((given) => further.reduce<string>(maskPattern, given))
  const known = secrets ? remembering(maskText) : asItIs
  const isSecret = remembering(isSecretName)
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

// A word, or what stands between quotes, which may hold a command line of its own (sh -c '…').
const word = /'[^']*'|"[^"]*"|[;&|]+|[^\s'";&|]+(?:'[^']*'|"[^"]*"|[^\s'";&|]+)*/g
const fieldInText =
  /(["']?)([A-Za-z_][\w.-]{1,100})\1(\s{0,3}[:=]\s{0,3})(["'])((?:(?!\4)[^\\]|\\.){1,4096})\4/g
const worthALook = /[=:@'"-]/
const maxDepth = 4

/** Masks secrets in a line for people, which may quote command lines, and those command lines in them. */
export function maskText(text: string, depth = 0): string {
  const byForm = maskSecrets(text)
  if (!worthALook.test(byForm)) return byForm
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
