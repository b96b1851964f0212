import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { marked } from 'marked'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// Applies the examples of CONTRIBUTING.md to a copy of the repository, as a reader would, and checks the copy.

const root = join(import.meta.dirname, '../..')
const run = promisify(execFile)

/** A code block whose first line is a comment with the path of the file that it creates or changes. */
type Example = { path: string; isDiff: boolean; text: string }

const examples = examplesIn(readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8'))
const paths = examples.map(({ path }) => path)
const codePaths = paths.filter((path) => path.endsWith('.ts'))
const ownTests = paths.filter((path) => path.endsWith('.test.ts'))
let copy = ''

/** The tests that fail if something is missing for a new detector. */
const repositoryTests = [
  'test/architecture.test.ts',
  'test/detectors/index.test.ts',
  'test/detectors/evidence.test.ts',
  'test/docs/runbooks.test.ts',
]

test.before(async () => {
  copy = await temporaryDirectory()
  copyRepository(copy)
  for (const example of examples) apply(example)
  await Promise.all(
    ['docs/generate.ts', 'exporters/prometheus/rules/generate.ts'].map((file) =>
      run('node', [file], { cwd: copy }),
    ),
  )
})

test.after.always(() => rmSync(copy, { recursive: true, force: true }))

test('there are examples of a detector, an observation and a kernel program, each with a test', (t) => {
  const folders = paths.map((path) => path.split('/').slice(0, 2).join('/'))
  for (const folder of ['test/detectors', 'test/sources', 'agent/model', 'agent/sources', 'docs/runbooks']) {
    t.true(folders.includes(folder), folder)
  }
})

test('the copy is free of type errors, so the examples forget no file', async (t) => {
  const project = { extends: './tsconfig.json', include: ['agent', 'detectors', 'exporters', ...ownTests] }
  writeFileSync(join(copy, 'tsconfig.examples.json'), JSON.stringify(project))
  t.is(await outputOf('tsc', ['--pretty', 'false', '--project', 'tsconfig.examples.json']), '')
})

test('the examples are formatted and lint-free', async (t) => {
  const created = examples
    .filter(({ path, isDiff }) => !isDiff && path.endsWith('.ts'))
    .map(({ path }) => path)
  await succeeds(t, 'oxfmt', ['--check', ...codePaths])
  await succeeds(t, 'oxlint', ['--deny-warnings', ...created])
})

test('the examples’ own tests pass, and so do the tests that look for missing files', async (t) => {
  t.is(ownTests.length, 3)
  // In one process, which takes a third of the time.
  const source = [
    "import { declareTogether } from './runner/grouped.ts'",
    `await declareTogether(${JSON.stringify(copy)}, ${JSON.stringify([...ownTests, ...repositoryTests])})`,
  ]
  writeFileSync(join(copy, 'test/examples.test.ts'), source.join('\n'))
  const output = await outputOf('ava', ['--tap', 'test/examples.test.ts'])
  const failed = output.split('\n').filter((line) => line.startsWith('not ok'))
  t.deepEqual(failed, [], output)
  t.regex(output, /^ok .*each late rename is one detection/m)
  t.regex(output, /^ok .*the sender of a real SIGKILL is reported/m)
})

test('a diff that does not match its file is an error', (t) => {
  t.is(patched('a\nb\nc\n', ' a\n+x\n b'), 'a\nx\nb\nc\n')
  t.is(patched('a\nb\nc\n', '-a\n@@\n c\n+d'), 'b\nc\nd\n')
  for (const diff of [' x\n+y', ' a\n c\n+y'])
    t.throws(() => patched('a\nb\nc\n', diff), { message: /not found once/ })
  t.throws(() => patched('a\na\n', ' a\n+b'), { message: /not found once/ })
})

function examplesIn(markdown: string): Example[] {
  return marked.lexer(markdown).flatMap((token) => {
    if (token.type !== 'code') return []
    const [, path, text = ''] = /^(?:\/\/|<!--) (\S+\/\S+\.\w+)(?: -->)?\n(.*)$/s.exec(token['text']) ?? []
    return path === undefined ? [] : [{ path, isDiff: token['lang'] === 'diff', text }]
  })
}

function copyRepository(to: string): void {
  const excluded = new Set(['node_modules', '.git', 'dist', 'test/.groups', 'test/screenshots'])
  cpSync(root, to, { recursive: true, filter: (source) => !excluded.has(relative(root, source)) })
  symlinkSync(join(root, 'node_modules'), join(to, 'node_modules'))
}

function apply({ path, isDiff, text }: Example): void {
  const file = join(copy, path)
  mkdirSync(dirname(file), { recursive: true })
  if (isDiff) writeFileSync(file, patched(readFileSync(file, 'utf8'), text, path))
  // A new file: it must not replace one of the repository.
  else writeFileSync(file, `${text}\n`, { flag: 'wx' })
}

/** Applies a diff without line numbers: hunks are separated by `@@`, and each must match exactly once. */
function patched(source: string, diff: string, path = ''): string {
  return diff.split('\n@@\n').reduce((text, hunk) => {
    const lines = hunk.split('\n')
    const side = (omitted: string) =>
      lines.flatMap((line) => (line.startsWith(omitted) ? [] : `${line.slice(1)}\n`)).join('')
    const [padded, before, after] = [`\n${text}`, `\n${side('+')}`, `\n${side('-')}`]
    const at = padded.indexOf(before)
    if (at < 0 || at !== padded.lastIndexOf(before)) throw new Error(`${path}: not found once:\n${hunk}`)
    return (padded.slice(0, at) + after + padded.slice(at + before.length)).slice(1)
  }, source)
}

async function succeeds(t: ExecutionContext, command: string, args: readonly string[]): Promise<void> {
  await t.notThrowsAsync(run(join(root, 'node_modules/.bin', command), args, { cwd: copy }))
}

/** The output of a tool, run in the copy, even if it fails. */
async function outputOf(command: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await run(join(root, 'node_modules/.bin', command), args, { cwd: copy })
    return stdout
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as Error & { stdout?: string; stderr?: string }
    return `${stdout}${stderr}` || message
  }
}
