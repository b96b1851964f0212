import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { ExecutionContext } from 'ava'
import type { KernelPaths } from '../../../agent/sources/resources/cgroup-reader.ts'

export type FixtureName = 'hybrid-cgroupfs' | 'v1-systemd' | 'v2-systemd' | 'v2-nested'

export type Tree = KernelPaths & {
  /** The directory with the container's memory files. */
  memory: string
  /** The directory of the cgroup above the container that has this limit file. */
  parent(file: string): string
  write(path: string, text: string): void
  remove(path: string): void
}

const memoryDirectories: Readonly<Record<FixtureName, string>> = {
  'hybrid-cgroupfs': 'memory/docker/',
  'v1-systemd': 'memory/system.slice/docker-',
  'v2-systemd': 'machine.slice/tenant.slice/docker-',
  'v2-nested': 'docker/',
}

/** A copy of a fixture tree that a test may change. */
export function treeOf(t: ExecutionContext, name: FixtureName, containerId: string): Tree {
  const root = mkdtempSync(join(tmpdir(), 'tidewatch-cgroup-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  cpSync(join(import.meta.dirname, '../../fixtures/cgroup', name), root, { recursive: true })
  const cgroupRoot = join(root, 'sys/fs/cgroup')
  const suffix = name.endsWith('systemd') ? '.scope' : ''
  return {
    procRoot: join(root, 'proc'),
    cgroupRoot,
    parent(file) {
      const controller = name.startsWith('v2') ? '' : file.startsWith('cpu.') ? 'cpu,cpuacct' : 'pids'
      return join(cgroupRoot, controller, dirname(memoryDirectories[name].replace(/^memory\//, '') + 'x'))
    },
    memory: join(cgroupRoot, `${memoryDirectories[name]}${containerId}${suffix}`),
    write(path, text) {
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, text)
    },
    remove: (path) => rmSync(path, { recursive: true }),
  }
}
