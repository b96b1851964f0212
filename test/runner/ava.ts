import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { type Report, reportReader } from './report.ts'

// What is compiled once is read from here by each later test process and daemon; half of their start is compiling.
const compileCache = join(import.meta.dirname, '../../node_modules/.cache/tidewatch/compile')

/** Runs ava with these arguments, passes on what it prints, and reports how its tests ended. */
export async function ava(args: readonly string[]): Promise<Report> {
  const color = process.stdout.isTTY ? { FORCE_COLOR: '1' } : {}
  const child = spawn('ava', args, {
    stdio: ['inherit', 'pipe', 'inherit'],
    env: { NODE_COMPILE_CACHE: compileCache, ...process.env, ...color },
  })
  const reader = reportReader()
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    // Whole lines only: two runs at the same time share the terminal.
    const end = text.lastIndexOf('\n') + 1
    const whole = end === 0 ? '' : rest + text.slice(0, end)
    rest = end === 0 ? rest + text : text.slice(end)
    if (whole !== '') process.stdout.write(whole)
    for (const line of whole.split('\n')) reader.read(line)
  })
  const status = await new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? 1)))
  process.stdout.write(rest)
  return reader.end(status)
}
