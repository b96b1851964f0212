import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** All test files but those of the booted host, with paths relative to `root`. */
export function testFiles(root: string): string[] {
  return globSync('test/**/*.test.ts', { cwd: root })
    .filter((file) => !file.startsWith('test/host/'))
    .toSorted()
}

/** Test files by what they need of the machine. */
export type Needs = {
  /** Node.js and the kernel. */
  unit: string[]
  /** A daemon with an engine to attach to, or a browser; no container of their own. */
  daemon: string[]
  /** Containers: such files run one after another, since each would disturb what another measures. */
  containers: string[]
}

const runsContainers = ['busybox-image', 'docker', 'private-engine']
const startsDaemon = ['bundle', 'chromium', 'daemon']

/** Sorts test files by what they import, directly or through other files. */
export function byNeeds(root: string, files: readonly string[]): Needs {
  const importsOf = importReader(root)
  const reaches = (file: string, names: readonly string[]) => {
    const reached = new Set([file])
    // Walking a set also visits what is added meanwhile.
    for (const one of reached) for (const imported of importsOf(one)) reached.add(imported)
    return names.some((name) => reached.has(`test/support/${name}.ts`))
  }
  const needs: Needs = { unit: [], daemon: [], containers: [] }
  for (const file of files) {
    if (reaches(file, runsContainers)) needs.containers.push(file)
    else if (reaches(file, startsDaemon)) needs.daemon.push(file)
    else needs.unit.push(file)
  }
  return needs
}

/** Reads the relative imports of each file once; type imports count too, which errs on the safe side. */
function importReader(root: string): (file: string) => readonly string[] {
  const known = new Map<string, readonly string[]>()
  return (file) => {
    let imports = known.get(file)
    if (imports === undefined) {
      const source = readFileSync(join(root, file), 'utf8')
      imports = [...source.matchAll(/(?:\bfrom|\bimport\(?)\s*'(\.[^']+\.ts)'/g)]
        .map(([, specifier = '']) => join(dirname(file), specifier))
        .filter((path) => existsSync(join(root, path)))
      known.set(file, imports)
    }
    return imports
  }
}
