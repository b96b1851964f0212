import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { stripVTControlCharacters } from 'node:util'
import { say } from './support/debian.ts'

// Runs ava with the arguments it is given. Tests that drive a real engine share two processors with others of their
// kind, and one that starves beside a neighbour says nothing of the product: the files of what failed are run once more,
// alone, and named. What fails again has failed. The last line counts every test once.

// More is no accident.
const maxFiles = 8

type Run = {
  status: number
  passed: Set<string>
  failed: Set<string>
  /** Of what failed. */
  files: Set<string>
  /** It hung, and ava ran nothing more: nobody knows of the rest. */
  isCutShort: boolean
}

const args = process.argv.slice(2)
const testFiles = globSync('test/**/*.test.ts')
const first = await ava(args)
let last = first
if (first.status !== 0 && !first.isCutShort && first.files.size > 0 && first.files.size <= maxFiles) {
  say(`failed beside others, and run once more, alone: ${[...first.files].join(', ')}`)
  const options = args.filter((arg) => arg.startsWith('-') && arg !== '--serial')
  last = await ava([...options, '--serial', ...first.files])
}

// Of fewer files, ava leaves out folders that all of them are in.
const seen = [...first.passed, ...first.failed]
const whole = (title: string) =>
  seen.find((known) => known === title || known.endsWith(` › ${title}`)) ?? title
const good = new Set([...first.passed, ...[...last.passed].map(whole)])
const bad = new Set([...last.failed].map(whole))
for (const title of bad) {
  good.delete(title)
  say(`failed: ${title}`)
}
// Behind the title of a test that failed stands how it did.
for (const title of good)
  if ([...first.failed].some((one) => one.startsWith(title))) say(`passed when alone only: ${title}`)
// A run can end badly without a failed test.
process.stdout.write(`${good.size} passed, ${last.status === 0 ? 0 : Math.max(1, bad.size)} failed\n`)
process.exitCode = last.status

async function ava(argv: readonly string[]): Promise<Run> {
  const run: Run = {
    status: 1,
    passed: new Set(),
    failed: new Set(),
    files: new Set(),
    isCutShort: false,
  }
  const color = process.stdout.isTTY ? { FORCE_COLOR: '1' } : {}
  const child = spawn('ava', argv, {
    stdio: ['inherit', 'pipe', 'inherit'],
    env: { ...process.env, ...color },
  })
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    process.stdout.write(text)
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) read(stripVTControlCharacters(line).trim(), run)
  })
  run.status = await new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? 1)))
  return run
}

/** Reads a line of ava's report. */
function read(line: string, run: Run): void {
  const [, mark, title] = /^(✔|✘ \[fail\]:) (.+?)(?: \([\dhms. ]+\))?$/.exec(line) ?? []
  if (title !== undefined && mark === '✔') run.passed.add(title)
  else if (title !== undefined) {
    run.failed.add(title)
    for (const file of filesOf(title)) run.files.add(file)
  }
  if (line.startsWith('✘ Timed out')) run.isCutShort = true
  // A file that ended before its tests, or whose error no test caught.
  const [, file] = /^(?:✘|Uncaught exception|Unhandled rejection) .*?(test\/\S+\.test\.ts)/.exec(line) ?? []
  if (file !== undefined) run.files.add(file)
}

/** Of `e2e › acts › a claim`, test/e2e/acts.test.ts, or every file that it may be of; a title may hold the mark, too. */
function filesOf(title: string): string[] {
  const parts = title.split(' › ')
  for (let length = parts.length; length > 0; length--) {
    const end = `/${parts.slice(0, length).join('/')}.test.ts`
    const found = testFiles.filter((file) => file.endsWith(end))
    if (found.length > 0) return found
  }
  return args.filter((arg) => arg.endsWith('.test.ts'))
}
