import { RE2JS } from 're2js'
import type { Json } from '../model/finding.ts'
import { isList, mapFields, mapItems } from '../model/json.ts'
import { maskArguments } from './command-secrets.ts'
import { isSecretName, mask, maskSecrets } from './secrets.ts'

/** Masks secrets in what is about to leave the process. */
export type Redactor = {
  text(text: string): string
  /** A field of evidence: lists of texts are taken for command lines, and fields whose name says so for secrets. */
  field(key: string, value: Json): Json
}

export type RedactorOptions = {
  /** Whether what is known to be secret is masked. */
  secrets: boolean
  /** Further patterns (RE2): the first group of each, or all of it, is masked. */
  patterns: readonly string[]
}

/** Redaction stands before store, log, page and alerts alike, so that none of them can forget it. */
export function createRedactor({ secrets, patterns }: RedactorOptions): Redactor {
  const further = patterns.map((pattern) => RE2JS.compile(pattern))
  const own = (text: string) => further.reduce(maskPattern, text)
  const text = remembering(
    (given: string) => own(secrets ? maskText(given) : given),
    (given) => given,
  )

  function json(value: Json): Json {
    if (typeof value === 'string') return text(value)
    if (typeof value !== 'object' || value === null) return value
    if (isList(value)) return isTexts(value) ? argv(value) : mapItems(value, json)
    return mapFields(value, field)
  }

  const argv = remembering(
    (list: readonly string[]) => {
      const masked: readonly string[] = secrets ? maskArguments(list, maskText) : list
      return masked.map(own) as readonly string[]
    },
    (list) => JSON.stringify(list),
  )

  function field(key: string, value: Json): Json {
    return secrets && typeof value === 'string' && value !== '' && isSecretName(key) ? mask : json(value)
  }

  return { text, field }
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

function maskWords(text: string, depth: number): string {
  const words = [...text.matchAll(word)]
  const masked = maskArguments(
    words.map(([one]) => one),
    (one) => maskQuoted(one, depth),
  )
  let out = ''
  let from = 0
  for (const [index, { 0: one, index: at }] of words.entries()) {
    out += text.slice(from, at) + (masked[index] ?? one)
    from = at + one.length
  }
  return out + text.slice(from)
}

function maskQuoted(one: string, depth: number): string {
  const quoted = /^(['"])([\s\S]*)\1$/.exec(one)
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

const remembered = 4_096
const maxRemembered = 512

/** A burst says the same again and again: what came last is not searched twice. */
function remembering<T>(work: (given: T) => T, keyOf: (given: T) => string): (given: T) => T {
  const known = new Map<string, T>()
  return (given) => {
    const key = keyOf(given)
    const before = known.get(key)
    if (before !== undefined) return before
    const result = work(given)
    if (key.length > maxRemembered) return result
    if (known.size >= remembered) known.clear()
    known.set(key, result)
    return result
  }
}
