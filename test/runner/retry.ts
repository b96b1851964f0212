import { say } from '../support/debian.ts'
import { ava } from './ava.ts'
import type { Report } from './report.ts'
import { titlePrefix, Titles } from './titles.ts'

// A failure that does not repeat is a bug of the test or of the product: it is printed as FLAKY, with its cause. With
// more failed files than this, the failures are not flaky.
const maxFiles = 8

/** The results of all tests, including the retry. */
export type Outcome = { passed: number; failed: number; flaky: number }

/**
 * Runs the files of failed tests once more, alone, and counts each test once. `files` are all files that may have
 * run.
 */
export async function settle(
  reports: readonly Report[],
  files: readonly string[],
  options: readonly string[] = [],
): Promise<Outcome> {
  const titles = new Titles(files)
  const passed = new Set(reports.flatMap((report) => [...report.passed].map((title) => titles.whole(title))))
  const failed = new Map(
    reports.flatMap((report) =>
      [...report.failed].map(([title, cause]) => [titles.whole(title), cause] as const),
    ),
  )
  const broken = new Map(reports.flatMap(({ brokenFiles }) => [...brokenFiles]))
  const isBad = reports.some(({ status }) => status !== 0)
  const suspects = [
    ...new Set([...[...failed.keys()].map((title) => titles.fileOf(title)), ...broken.keys()]),
  ]
  const known = suspects.filter((file) => file !== undefined)
  const canRetry =
    known.length > 0 &&
    known.length === suspects.length &&
    known.length <= maxFiles &&
    !reports.some(({ isCutShort }) => isCutShort)
  if (!isBad || !canRetry) return conclude(passed, failed, isBad, 0)

  say(`failed, running again alone: ${known.join(', ')}`)
  const again = await ava([...options, '--serial', ...known])
  const retried = new Titles(known)
  const good = new Set([...again.passed].map((title) => retried.whole(title)))
  for (const title of good) passed.add(title)
  const flaky = [...failed].filter(([title]) => good.has(title))
  for (const [title, cause] of flaky) {
    failed.delete(title)
    const file = titles.fileOf(title) ?? ''
    say(`FLAKY ${file} › ${title.slice(titlePrefix(file).length + 3)}: ${cause}`)
  }
  for (const [title, cause] of again.failed) failed.set(retried.whole(title), cause)
  const isStillBad = again.status !== 0
  const flakyFiles = isStillBad ? [] : [...broken]
  for (const [file, cause] of flakyFiles) say(`FLAKY ${file}: ${cause}`)
  return conclude(passed, failed, isStillBad, flaky.length + flakyFiles.length)
}

function conclude(
  passed: Set<string>,
  failed: ReadonlyMap<string, string>,
  isBad: boolean,
  flaky: number,
): Outcome {
  for (const [title, cause] of failed) {
    passed.delete(title)
    say(`failed: ${title}: ${cause}`)
  }
  // A run can fail without a failed test.
  return { passed: passed.size, failed: isBad ? Math.max(1, failed.size) : failed.size, flaky }
}
