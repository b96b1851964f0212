import { execFile } from 'node:child_process'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { allCommands, commandTree } from '../../systemd/command-tree.ts'
import { completions } from '../../systemd/completions.ts'
import { manualPage } from '../../systemd/manual.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const execute = promisify(execFile)
const tree = commandTree()
const leaves = allCommands(tree).filter(({ words, commands }) => words.length > 0 && commands.length === 0)

/** The completions that bash offers for the last word, which may be empty. */
async function offered(t: ExecutionContext, ...words: string[]): Promise<string[]> {
  const directory = await temporaryDirectory()
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  await writeFile(join(directory, 'completion'), completions('bash', tree))
  await writeFile(join(directory, 'some.yml'), '')
  const script = `. ./completion; COMP_WORDS=(tidewatch "$@"); COMP_CWORD=$#; _tidewatch; printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout } = await execute('bash', ['--norc', '-c', script, 'bash', ...words], { cwd: directory })
  return stdout.split('\n').filter(Boolean)
}

const lines: [line: string[], offered: string[]][] = [
  [['fin'], ['findings']],
  [
    ['profile', ''],
    ['list', 'show', 'approve', 'forget', '--help'],
  ],
  [['profile', 'list', '--st'], ['--state.directory']],
  [['findings', '--sev'], ['--severity']],
  [['findings', '--severity', 'c'], ['critical']],
  [['findings', '--severity', '=', 'c'], ['critical']],
  [
    ['findings', '--format', '='],
    ['table', 'json'],
  ],
  [['run', '--config.file', 's'], ['some.yml']],
  [['check-config', 's'], ['some.yml']],
  [['version', ''], ['--help']],
]

for (const [line, expected] of lines) {
  test(`bash completes: tidewatch ${line.join(' ')}`, async (t) => {
    t.deepEqual(await offered(t, ...line), expected)
  })
}

for (const shell of ['bash', 'zsh', 'fish'] as const) {
  test(`the ${shell} completions have every command and every option`, (t) => {
    const text = completions(shell, tree)
    for (const { words, options } of leaves) {
      t.true(text.includes(words.at(-1) ?? ''), words.join(' '))
      for (const { flag } of options) t.true(text.includes(flag.slice(2)), `${words.join(' ')} ${flag}`)
    }
  })
}

test('the manual page has every command, option and variable', (t) => {
  const page = manualPage({ tree, version: '1.2.3', date: '2026-11-24' }).replaceAll('\\-', '-')
  t.regex(page, /^\.TH TIDEWATCH 1 2026-11-24 "tidewatch 1\.2\.3"$/m)
  for (const { usage, options } of leaves) {
    t.true(page.includes(`.SS "${usage}"`), usage)
    for (const option of options) {
      t.true(page.includes(`.B ${option.usage}`), option.usage)
      if (option.variable !== undefined) t.true(page.includes(`.B ${option.variable}`), option.variable)
    }
  }
})

test('no line of the manual page is an accidental request', (t) => {
  const page = manualPage({ tree, version: '1.2.3', date: '2026-11-24' })
  for (const line of page.split('\n')) t.notRegex(line, /^(?:'|\.(?!TH |SH |SS |B |BR |TP$|PP$))/)
})
