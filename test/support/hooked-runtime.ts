import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Writes a runtime that is runc with hooks, like NVIDIA's, for `dockerd --add-runtime`; returns its path. Each hook
 * runs some programs: before the container is made, in its namespaces before it has its root, in it, and after its
 * start.
 */
export async function hookedRuntime(directory: string): Promise<string> {
  const path = join(directory, 'hooked-runc')
  const hook = (mark: string) => ({
    path: '/bin/sh',
    args: ['sh', '-c', `cat > /dev/null; sleep 0.1; true ${mark}`],
  })
  const hooks = {
    createRuntime: [hook('create-runtime')],
    createContainer: [hook('create-container')],
    startContainer: [hook('start-container')],
    poststart: [hook('poststart')],
  }
  const script = `#!${process.execPath}
const { spawnSync } = require('node:child_process')
const { readFileSync, writeFileSync } = require('node:fs')
const args = process.argv.slice(2)
const bundle = args[args.indexOf('--bundle') + 1]
if (args.includes('create') && bundle) {
  const config = JSON.parse(readFileSync(bundle + '/config.json', 'utf8'))
  config.hooks = ${JSON.stringify(hooks)}
  writeFileSync(bundle + '/config.json', JSON.stringify(config))
}
process.exitCode = spawnSync('runc', args, { stdio: 'inherit' }).status
`
  await writeFile(path, script)
  await chmod(path, 0o755)
  return path
}
