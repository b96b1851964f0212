import { appendFileSync, readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

// Preloaded into every Node process of the tests on the emulated host. It loads the files compiled by
// test/host/payload.ts instead of their sources, and measures how long each test file takes.

const root = import.meta.dirname
const rootUrl = pathToFileURL(`${root}/`).href
const chunksUrl = `${rootUrl}.compiled/chunks/`

registerHooks({
  resolve(specifier, context, nextResolve) {
    // A bundle is loaded under the name of its source.
    const chunk = /\/chunks\/([^/]+)$/.exec(specifier)?.[1]
    const isOurs = context.parentURL?.startsWith(rootUrl) === true && specifier.startsWith('.')
    if (chunk !== undefined && isOurs) return { url: chunksUrl + chunk, format: 'module', shortCircuit: true }
    return nextResolve(specifier, context)
  },
  load(url, context, nextLoad) {
    if (!url.startsWith(rootUrl) || !url.endsWith('.ts') || url.includes('/node_modules/'))
      return nextLoad(url, context)
    const path = fileURLToPath(url).slice(root.length + 1)
    if (path.endsWith('.test.ts')) measure(path)
    const file = path.startsWith('.compiled/') ? path : join('.compiled', path)
    return { format: 'module', shortCircuit: true, source: readFileSync(join(root, file)) }
  },
})

function measure(file: string): void {
  process.once('exit', () => {
    appendFileSync(join(root, '.times'), `${file} ${process.uptime().toFixed(1)}\n`)
  })
}
