import { readFile } from 'node:fs/promises'
import { parseMounts } from '../../../linux/mountinfo.ts'
import type { PackageManager } from './manager.ts'

/** Snaps: each revision is a read-only file system, mounted at /snap/NAME/REVISION. */
export function snap(root = ''): PackageManager {
  return {
    name: 'snap',
    async ownerOf(path) {
      const [, name = '', version = ''] = /^(?:\/var\/lib\/snapd)?\/snap\/([^/]+)\/([^/]+)\//.exec(path) ?? []
      if (name === '') return null
      const mounts = parseMounts(await readFile(`${root}/proc/1/mountinfo`, 'utf8').catch(() => ''))
      const mount = mounts.findLast(
        ({ mountPoint }) => path.startsWith(`${mountPoint}/`) && mountPoint !== '/',
      )
      const isImage = /squashfs/.test(mount?.type ?? '')
      return { name, version, digest: isImage ? 'unchangeable' : null }
    },
  }
}
