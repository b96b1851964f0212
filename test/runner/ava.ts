import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { type Report, reportReader } from './report.ts'
import { minutes } from './stages.ts'
import { Titles } from './titles.ts'

// The compile cache shared by all test processes and daemons; half of their start time is compilation.
const compileCache = join(import.meta.dirname, '../../node_modules/.cache/tidewatch/compile')

/** Runs ava with these arguments, forwards its output, and reports the results of its tests. */
export function ava(args: readonly string[]): Promise<Report> {
  return runAva(args, (text) => process.stdout.write(text))
}

/** Test files that ava runs one after another. */
export type Task = {
  name: string
  files: readonly string[]
  /** The files that declare the tests, if `files` only import them. */
  members?: readonly string[]
}

/** Runs a task and prints ava's output when it has finished. Titles in the report have their full prefix. */
export async function avaOf({ name, files, members = files }: Task): Promise<Report> {
  const start = performance.now()
  let printed = ''
  const report = await runAva(['--concurrency=1', ...files], (text) => (printed += text))
  process.stdout.write(`── ${name} ${minutes(performance.now() - start)}\n${printed.trimEnd()}\n`)
  const titles = new Titles(members)
  return {
    ...report,
    passed: new Set([...report.passed].map((title) => titles.whole(title))),
    failed: new Map([...report.failed].map(([title, cause]) => [titles.whole(title), cause])),
  }
}

async function runAva(args: readonly string[], print: (text: string) => void): Promise<Report> {
  const color = process.stdout.isTTY ? { FORCE_COLOR: '1' } : {}
  const child = spawn('ava', args, {
    stdio: ['inherit', 'pipe', 'inherit'],
    env: { NODE_COMPILE_CACHE: compileCache, ...process.env, ...color },
  })
  const reader = reportReader()
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    print(text)
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) reader.read(line)
  })
  const status = await new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? 1)))
  reader.read(rest)
  return reader.end(status)
}
