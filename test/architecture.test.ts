import test from 'ava'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

// The layers of the code, lowest first. A file may import from its own folder and from lower layers; folders in the
// same layer must not import each other.
const layers: readonly (readonly string[])[] = [
  ['agent/lib'],
  ['agent/linux', 'agent/model'],
  ['agent/ebpf', 'agent/log', 'agent/service'],
  ['agent/config'],
  ['agent/exec-ledger', 'agent/findings', 'agent/policy', 'agent/store'],
  ['agent/sources', 'detectors', 'exporters'],
  ['agent/daemon'],
  ['agent/cli'],
  ['agent/main.ts', 'exporters/grafana/generate.ts', 'exporters/prometheus/rules/generate.ts'],
]

// These folders are usable by any Linux program, so they must not depend on tidewatch.
const without: Readonly<Record<string, readonly string[]>> = {
  'agent/linux': ['agent/model'],
  'agent/ebpf': ['agent/model'],
}

const root = join(import.meta.dirname, '..')
const files = globSync('{agent,detectors,exporters}/**/*.ts', { cwd: root }).toSorted()
const imports = new Map(files.map((file) => [file, importsOf(file)]))

test('imports only point to lower layers, including type imports', (t) => {
  const upwards = [...imports].flatMap(([file, targets]) =>
    targets.filter((target) => !mayImport(file, target)).map((target) => `${file} imports ${target}`),
  )
  t.deepEqual(upwards, [])
})

test('no detector knows another', (t) => {
  const detectorOf = (file: string) => /^detectors\/([^/]+)\//.exec(file)?.[1]
  const known = [...imports].flatMap(([file, targets]) =>
    targets
      .filter((target) => detectorOf(file) !== undefined && detectorOf(target) !== undefined)
      .filter((target) => detectorOf(file) !== detectorOf(target))
      .map((target) => `${file} imports ${target}`),
  )
  t.deepEqual(known, [])
})

test('every file has a layer', (t) => {
  t.deepEqual(
    files.filter((file) => layerOf(file) === undefined),
    [],
  )
})

test('there are no import cycles', (t) => {
  t.deepEqual(cycles(), [])
})

function importsOf(file: string): string[] {
  const source = readFileSync(join(root, file), 'utf8')
  return [...source.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'(\.[^']+\.ts)'/g)].map(([, path = '']) =>
    join(dirname(file), path),
  )
}

/** The most specific layer entry that contains a file. */
function layerOf(file: string): { folder: string; height: number } | undefined {
  return layers
    .flatMap((folders, height) => folders.map((folder) => ({ folder, height })))
    .filter(({ folder }) => file === folder || file.startsWith(`${folder}/`))
    .toSorted((a, b) => b.folder.length - a.folder.length)[0]
}

function mayImport(file: string, target: string): boolean {
  const [from, to] = [layerOf(file), layerOf(target)]
  if (from === undefined || to === undefined) return false
  if (from.folder === to.folder) return true
  return to.height < from.height && without[from.folder]?.includes(to.folder) !== true
}

/** Files in an import cycle, each with its shortest cycle. */
function cycles(): string[] {
  return files.flatMap((start) => {
    const cameFrom = new Map<string, string>()
    const queue = [start]
    for (const file of queue) {
      for (const target of imports.get(file) ?? []) {
        if (target === start) return wayTo(file, cameFrom).concat(start).join(' → ')
        if (cameFrom.has(target)) continue
        cameFrom.set(target, file)
        queue.push(target)
      }
    }
    return []
  })
}

function wayTo(file: string, cameFrom: ReadonlyMap<string, string>): string[] {
  const before = cameFrom.get(file)
  return before === undefined ? [file] : [...wayTo(before, cameFrom), file]
}
