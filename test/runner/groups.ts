import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Task } from './ava.ts'

/** The folder for generated files that import several test files each; git ignores it. */
export const groupFolder = 'test/.groups'

/** Hooks and a context apply to a whole process; `serial` marks tests that observe other activity on the machine. */
const ownProcess = /\btest\.(?:serial|before|after|beforeEach|afterEach|macro|meta)\b|\bTestFn\b/

/** Whether a test file can share its process with others. */
export function canShareProcess(root: string, file: string): boolean {
  return !ownProcess.test(readFileSync(join(root, file), 'utf8'))
}

/** Writes `count` files that together declare the tests of `files`. */
export function writeGroups(root: string, files: readonly string[], count: number): Task[] {
  removeGroups(root)
  mkdirSync(join(root, groupFolder), { recursive: true })
  return Array.from({ length: count }, (_unused, index) => {
    const path = join(groupFolder, `unit-${index + 1}.test.ts`)
    const members = files.filter((_file, position) => position % count === index)
    const source = [
      "import { declareTogether } from '../runner/grouped.ts'",
      `await declareTogether(${JSON.stringify(root)}, ${JSON.stringify(members)})`,
      '',
    ].join('\n')
    writeFileSync(join(root, path), source)
    return { name: `unit tests, group ${index + 1}`, files: [path], members }
  })
}

/** Removes the files of an earlier run, so that a plain `ava` does not run its tests twice. */
export function removeGroups(root: string): void {
  rmSync(join(root, groupFolder), { recursive: true, force: true })
}
