import { closeSync, readdirSync, readFileSync } from 'node:fs'
import { mountDetached } from '../../linux/detached-mount.ts'
import type { Look, Place } from './ledger.ts'
import { sysctls } from './sysctls.ts'
import { readValue } from './value.ts'

export type Paths = {
  procRoot: string
  /** Of the host's libraries: `/etc/ld.so.preload`. */
  preload: string
  /** `/sys/kernel/uevent_helper`. */
  ueventHelper: string
}

/** Places with the value that each holds now, and where to read one alone. */
export type Reader = { place: Place; read: () => string | null }

/** The sysctls, in the order of `sysctls`. */
export function sysctlReaders({ procRoot }: Paths): Reader[] {
  return sysctls.map(({ file, name }) =>
    reader({ key: name, file, path: `/proc/sys/${name}` }, `${procRoot}/sys/${name}`),
  )
}

/** The files that every host has, or may have. */
export function fileReaders({ preload, ueventHelper }: Paths): Reader[] {
  return [
    reader({ key: 'preload', file: 'ld_so_preload', path: preload }, preload),
    reader({ key: 'uevent', file: 'uevent_helper', path: ueventHelper }, ueventHelper),
  ]
}

/** The two files in the root of a hierarchy. `mountPoint` is what its holder calls the root, `base` leads there now. */
export function hierarchyReaders(hierarchy: string, mountPoint: string, base: string): Reader[] {
  return (['release_agent', 'notify_on_release'] as const).map((file) => {
    const path = `${mountPoint}/${file}`
    return reader({ key: cgroupKey(hierarchy, path), file, path }, `${base}/${file}`)
  })
}

/** Names a file of a cgroup: two hierarchies may be mounted at the same place in two mount namespaces. */
export function cgroupKey(hierarchy: string, path: string): string {
  return `${hierarchy} ${path}`
}

/** The hierarchy in what `cgroupKey` gave; its name has no blank (cgroup1_parse_param() of kernel/cgroup/cgroup-v1.c). */
export function hierarchyOf(key: string): string {
  return key.slice(0, key.indexOf(' '))
}

function reader(place: Place, path: string): Reader {
  return { place, read: () => readValue(path) }
}

/** The registrations of binfmt_misc, seen through a mount of our own: the host need not have one. */
export type BinfmtView = {
  /** Where the mount's root is to be found. */
  root: string
  look(): Look[]
  close(): void
}

/** Null where the kernel has no binfmt_misc, or has not loaded it: then nothing can be registered. Throws without CAP_SYS_ADMIN. */
export function openBinfmt(procRoot: string): BinfmtView | null {
  // Mounting it would load the module.
  if (!/\tbinfmt_misc$/m.test(readFileSync(`${procRoot}/filesystems`, 'latin1'))) return null
  const fd = mountDetached('binfmt_misc')
  const root = `/proc/self/fd/${fd}/.`
  return {
    root,
    look: () =>
      readdirSync(root)
        .filter((name) => name !== 'register' && name !== 'status')
        .slice(0, maxRegistrations)
        .map((name) => {
          const path = `/proc/sys/fs/binfmt_misc/${name}`
          return { key: path, file: 'binfmt_misc', path, isListed: true, value: readValue(`${root}/${name}`) }
        }),
    close: () => closeSync(fd),
  }
}

// qemu's packages register 30; each takes 20 us to read.
const maxRegistrations = 256
