/** A version as upstream projects number them. */
export type Version = {
  /** Major, minor, patch, then the pre-release stage and its number, which sort before the release. */
  numbers: readonly number[]
  /** A suffix added by a builder: `+ds1`, `-ce`, `+dev`; empty for a plain release. */
  extra: string
}

const stages: Readonly<Record<string, number>> = { alpha: -3, beta: -2, rc: -1 }

/** Reads `1.2.8`, `v1.4.0-rc.3`, `1.0.0~rc93+ds1`, `20.10.24+dfsg1`; null for anything else, such as a commit. */
export function parseVersion(text: string): Version | null {
  const found = /^v?(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?(?:[-~](alpha|beta|rc)\.?(\d{1,6})?)?(.*)$/s.exec(
    text,
  )
  if (found === null) return null
  const [, major, minor, patch = '0', stage, count = '0', extra = ''] = found
  const place = stage === undefined ? 0 : (stages[stage] ?? 0)
  return { numbers: [Number(major), Number(minor), Number(patch), place, Number(count)], extra }
}

/** Below zero if `a` precedes `b`; suffixes after the numbers are ignored. */
export function compareVersions(a: Version, b: Version): number {
  const index = a.numbers.findIndex((number, at) => number !== b.numbers[at])
  return index < 0 ? 0 : (a.numbers[index] ?? 0) - (b.numbers[index] ?? 0)
}

/** The order of Debian's package versions (deb-version(7)). */
export function comparePackageVersions(a: string, b: string): number {
  const [x, y] = [componentsOf(a), componentsOf(b)]
  return (
    x.epoch - y.epoch ||
    compareComponents(x.upstream, y.upstream) ||
    compareComponents(x.revision, y.revision)
  )
}

function componentsOf(version: string) {
  const [, epoch = '0', rest = ''] = /^(?:(\d+):)?(.*)$/s.exec(version) ?? []
  const dash = rest.lastIndexOf('-')
  const upstream = dash < 0 ? rest : rest.slice(0, dash)
  return { epoch: Number(epoch), upstream, revision: dash < 0 ? '' : rest.slice(dash + 1) }
}

/** Compares alternately non-digits, in dpkg's own order, and digits, by value. */
function compareComponents(a: string, b: string): number {
  let [x, y] = [a, b]
  while (x !== '' || y !== '') {
    const [wordX, wordY] = [leading(x, /^\D*/), leading(y, /^\D*/)]
    const byWord = compareWords(wordX, wordY)
    if (byWord !== 0) return byWord
    ;[x, y] = [x.slice(wordX.length), y.slice(wordY.length)]
    const [digitsX, digitsY] = [leading(x, /^\d*/), leading(y, /^\d*/)]
    const byNumber = Number(digitsX) - Number(digitsY)
    if (byNumber !== 0) return byNumber
    ;[x, y] = [x.slice(digitsX.length), y.slice(digitsY.length)]
  }
  return 0
}

function leading(text: string, pattern: RegExp): string {
  return pattern.exec(text)?.[0] ?? ''
}

function compareWords(a: string, b: string): number {
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const difference = weight(a[at]) - weight(b[at])
    if (difference !== 0) return difference
  }
  return 0
}

/** `~` sorts before the end, the end before letters, letters before all other characters. */
function weight(character: string | undefined): number {
  if (character === undefined) return 0
  if (character === '~') return -1
  const code = character.charCodeAt(0)
  return /[A-Za-z]/.test(character) ? code : code + 256
}
