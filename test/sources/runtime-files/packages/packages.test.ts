import test from 'ava'
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { dpkg } from '../../../../agent/sources/runtime-files/packages/dpkg.ts'
import { askPackages } from '../../../../agent/sources/runtime-files/packages/packages.ts'
import { temporaryFolder } from '../decoy.ts'

const md5 = createHash('md5').update('runc').digest('hex')
const state = { device: 1, inode: 1, sizeBytes: 4, mode: 0o100755, uid: 0, gid: 0, sha256: 'a'.repeat(64) }
const megabyte = `${'Description: x\n'.repeat(70_000)}\n`

test.serial('a cached package does not keep its database in memory', async (t) => {
  const answers: unknown[] = []
  const before = heapMiB()
  for (let n = 0; n < 30; n += 1) {
    const root = hostWith(temporaryFolder(t), n)
    const ask = askPackages([dpkg(root)], { read: async () => md5 })
    answers.push(ask, await ask('/usr/sbin/runc', state))
  }
  t.like(answers[1], { name: 'containerd.io', version: '1.7.24-1~debian.12~bookworm', matches: true })
  t.true(heapMiB() - before < 10)
})

test.serial('the cached folders do not keep the lists of all packages in memory', async (t) => {
  const managers: unknown[] = []
  const before = heapMiB()
  for (let n = 0; n < 30; n += 1) {
    const manager = dpkg(hostWith(temporaryFolder(t), n))
    t.is(await manager.ownerOf('/opt/static/runc'), null)
    managers.push(manager)
  }
  t.true(heapMiB() - before < 10)
})

/** Its status, sums and list have a megabyte each. */
function hostWith(root: string, n: number): string {
  const folder = join(root, 'var/lib/dpkg')
  mkdirSync(join(folder, 'info'), { recursive: true })
  const head = `Package: containerd.io\nStatus: install ok installed\nVersion: 1.7.24-1~debian.12~bookworm\n`
  writeFileSync(join(folder, 'status'), `${head}${megabyte}Package: p${n}\n`)
  writeFileSync(join(folder, 'info/containerd.io.md5sums'), `${md5}  usr/sbin/runc\n${megabyte}`)
  const files = '/usr/share/documentation/containerd.io/a-file\n'.repeat(20_000)
  writeFileSync(join(folder, 'info/containerd.io.list'), `/usr/sbin/runc\n${files}`)
  return root
}

function heapMiB(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  return process.memoryUsage().heapUsed / 2 ** 20
}
