import { clip } from '../../lib/text.ts'
import type { ResourceSample } from '../../model/observation.ts'

/** The usage and limits of a container, from whichever source. */
export type Usage = Pick<ResourceSample, 'memory' | 'cpu' | 'pids' | 'pressure' | 'blockIo'>

/** Reads one of a cgroup's files; null when this kernel does not have it. */
export type ReadText = (name: string) => string | null

/** Reads a file that must hold one whole number, so that garbage is an error and never a measurement. */
export function wholeNumber(name: string, text: string): number {
  if (!/^\d{1,20}\n?$/.test(text)) throw new Error(`${name} holds ${quote(text)} instead of a number`)
  return Number(text)
}

/** The value of a line `key value`, or null when there is no such line. */
export function field(text: string, key: string): number | null {
  // Searched, not matched: compiling a pattern for each key takes longer than the kernel needs to write the file.
  const isFirst = text.startsWith(`${key} `)
  const before = isFirst ? 0 : text.indexOf(`\n${key} `)
  if (before < 0) return null
  return numberAt(text, before + (isFirst ? 0 : 1) + key.length + 1)
}

/** The whole number from `start` to the end of its line; null when there is anything else. */
export function numberAt(text: string, start: number): number | null {
  let value = 0
  let at = start
  // Parsed by hand: this happens twenty times for each sample, and a pattern takes five times as long.
  for (; at < text.length && at - start <= maxDigits; at++) {
    const digit = text.charCodeAt(at) - 48
    if (digit < 0 || digit > 9) break
    value = value * 10 + digit
  }
  const digits = at - start
  const isEnd = at === text.length || text[at] === '\n'
  return isEnd && digits > 0 && digits <= maxDigits ? value : null
}

// The digits of the greatest number that the kernel counts, 2^64.
const maxDigits = 20

/** The value of a line that the kernel always writes. */
export function requiredField(name: string, text: string | null, key: string): number {
  const value = text === null ? null : field(text, key)
  if (value === null) throw new Error(`${name} has no line ${key}`)
  return value
}

/** The sum of the numbers that a global pattern finds. */
export function sumOfMatches(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].reduce((sum, [, value]) => sum + Number(value), 0)
}

// Version 1 reports 2^63 less one page when there is no limit (mm/page_counter.c), and no machine has 2^60 bytes.
const unlimited = 2 ** 60

/** A limit of a cgroup, or null for `max` and for the number that version 1 writes without a limit. */
export function limitOf(name: string, text: string): number | null {
  if (text.trim() === 'max') return null
  return finiteLimit(wholeNumber(name, text))
}

export function finiteLimit(value: number): number | null {
  return value < unlimited ? value : null
}

/** The lowest of several limits, where null is no limit. */
export function lowestLimit(limits: readonly (number | null)[]): number | null {
  const set = limits.filter((limit) => limit !== null)
  return set.length === 0 ? null : Math.min(...set)
}

function quote(text: string): string {
  return JSON.stringify(clip(text, 80))
}
