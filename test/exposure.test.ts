import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

const root = join(import.meta.dirname, '..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const sources = ['agent', 'detectors', 'exporters'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${folder}/${name}`),
)

type Lock = { packages: Record<string, { dev?: boolean; hasInstallScript?: boolean; version?: string }> }

test('the daemon starts no shell, and only one program, for its self-test', (t) => {
  const starting = sources.filter((file) =>
    /node:child_process|node:cluster|process\.binding/.test(read(file)),
  )
  t.deepEqual(starting, ['agent/sources/processes/modes/self-test.ts'])
  t.notRegex(read('agent/sources/processes/modes/self-test.ts'), /exec\(|execSync\(|shell: *true|\bsh\b.*-c/)
})

test('no text is evaluated as code', (t) => {
  const evaluating = sources.filter((file) => /\beval\(|new Function\(|node:vm'/.test(read(file)))
  t.deepEqual(evaluating, [])
})

test('every dependency is pinned, and no production dependency runs an install script', (t) => {
  const { dependencies, devDependencies, allowScripts } = JSON.parse(read('package.json')) as Record<
    string,
    Record<string, string | boolean>
  >
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies }))
    t.regex(String(version), /^\d+\.\d+\.\d+$|^npm:.*@\d+\.\d+\.\d+$/, name)
  const { packages } = JSON.parse(read('package-lock.json')) as Lock
  for (const [path, { dev, hasInstallScript }] of Object.entries(packages)) {
    if (hasInstallScript !== true || dev === true) continue
    t.is(allowScripts?.[path.replace(/^.*node_modules\//, '')], false, path)
  }
})
