import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Only run by `npm run test:full`: it takes a minute to build an image, whose content is also tested as a package. */
const fullOnly = ['test/systemd/image.test.ts']

/** Applies and checks the examples of CONTRIBUTING in a copy of the repository, which takes too long for the inner loop. */
export const slowUnitTests = ['test/docs/contributing.test.ts']

/** The test files of an ordinary or a full run, except those for the booted host, with paths relative to `root`. */
export function testFiles(root: string, { isFull = false } = {}): string[] {
  return globSync('test/**/*.test.ts', { cwd: root })
    .filter((file) => !file.startsWith('test/host/') && (isFull || !fullOnly.includes(file)))
    .toSorted()
}

/** Test files by their requirements. */
export type Needs = {
  /** Node.js and the kernel. */
  unit: string[]
  /** A daemon with an engine to attach to, or a browser, but no containers. */
  daemon: string[]
  /** Containers. These files run one after another, because each would disturb the measurements of the others. */
  containers: string[]
}

const runsContainers = ['busybox-image', 'docker', 'private-engine']
const startsDaemon = ['bundle', 'chromium', 'daemon']

/** Sorts test files by their direct and indirect imports. */
export function byNeeds(root: string, files: readonly string[]): Needs {
  const importsOf = importReader(root)
  const reaches = (file: string, names: readonly string[]) => {
    const reached = new Set([file])
    // Iterating over a set also visits items added during the iteration.
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

/** Reads the relative imports of each file once. Type imports count too, to be on the safe side. */
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
