import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import test from 'ava'
import { titlePrefix } from './titles.ts'

// ava starts a process for each file, which takes most of a unit test file's time. Files without hooks and without a
// context share a process: each gets an `ava` that prefixes its titles with the file's name and runs its tests in
// order, so that no test waits while one of another file computes.

type Declaration = { path: readonly string[]; args: unknown[] }
type Chain = Record<string, (...args: unknown[]) => void>

const scheme = 'ava-of:'
const chains = new Map<string, unknown>()
// The virtual modules of the files read their chain from here.
Object.assign(globalThis, { tidewatchChains: chains })

/** Imports the test files, with paths relative to `root`, and declares all their tests in this process. */
export async function declareTogether(root: string, files: readonly string[]): Promise<void> {
  const declarations: Declaration[] = []
  const hooks = registerHooks({
    resolve: (specifier, context, next) =>
      specifier === 'ava' && chains.has(context.parentURL ?? '')
        ? { url: `${scheme}${context.parentURL}`, format: 'module', shortCircuit: true }
        : next(specifier, context),
    load: (url, context, next) =>
      url.startsWith(scheme)
        ? { source: chainModule(url.slice(scheme.length)), format: 'module', shortCircuit: true }
        : next(url, context),
  })
  for (const file of files) {
    const url = pathToFileURL(join(root, file)).href
    chains.set(url, recorder(declarations, titlePrefix(file)))
    await import(url)
  }
  hooks.deregister()
  // ava accepts declarations only until the next tick after the first.
  for (const { path, args } of declarations) declare(path, args)
}

function chainModule(url: string): string {
  return `export default globalThis.tidewatchChains.get(${JSON.stringify(url)})`
}

/** Replaces `test`, `test.serial` and so on: records the declarations. */
function recorder(declarations: Declaration[], prefix: string, path: readonly string[] = []): unknown {
  return new Proxy(() => undefined, {
    apply: (_target, _this, [title, ...args]: unknown[]) => {
      declarations.push({ path, args: [`${prefix} › ${String(title)}`, ...args] })
    },
    get: (_target, name) => recorder(declarations, prefix, [...path, String(name)]),
  })
}

function declare(path: readonly string[], args: unknown[]): void {
  const serial = test.serial as unknown as Chain
  const modifier = path.filter((name) => name !== 'serial')
  if (modifier.length === 0) return (serial as unknown as Chain[string])(...args)
  const [name = ''] = modifier
  const declared = serial[name]
  if (modifier.length > 1 || declared === undefined || hookNames.has(name)) {
    throw new Error(`test.${path.join('.')} needs its own process: ${String(args[0])}`)
  }
  declared(...args)
}

const hookNames = new Set(['before', 'after', 'beforeEach', 'afterEach', 'macro', 'meta'])
