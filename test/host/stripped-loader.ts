import { appendFileSync, readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

// Loaded into every Node process on the emulated host (test/host/payload.ts): it loads the files whose types were removed outside instead of
// compiling TypeScript, and measures how long each test file takes.

const root = import.meta.dirname
const rootUrl = pathToFileURL(`${root}/`).href

registerHooks({
  load(url, context, nextLoad) {
    if (!url.startsWith(rootUrl) || !url.endsWith('.ts') || url.includes('/node_modules/'))
      return nextLoad(url, context)
    const file = fileURLToPath(url).slice(root.length + 1)
    if (file.endsWith('.test.ts')) measure(file)
    return { format: 'module', shortCircuit: true, source: readFileSync(join(root, '.stripped', file)) }
  },
})

function measure(file: string): void {
  process.once('exit', () => {
    appendFileSync(join(root, '.times'), `${file} ${process.uptime().toFixed(1)}\n`)
  })
}
