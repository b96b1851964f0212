import { closeSync, readdirSync, readFileSync } from 'node:fs'
import { mountDetached } from '../../linux/detached-mount.ts'
import type { PlaceState, Place } from './ledger.ts'
import { sysctls } from './sysctls.ts'
import { readValue } from './value.ts'

export type Paths = {
  procRoot: string
  /** `/etc/ld.so.preload` of the host. */
  preload: string
  /** `/sys/kernel/uevent_helper`. */
  ueventHelper: string
}

/** A watched file and how to read its current value. */
export type Reader = { place: Place; read: () => string | null }

/** Readers for the sysctls, in the order of `sysctls`. */
export function sysctlReaders({ procRoot }: Paths): Reader[] {
  return sysctls.map(({ file, name }) =>
    reader({ key: name, file, path: `/proc/sys/${name}` }, `${procRoot}/sys/${name}`),
  )
}

/** Readers for the files that any host may have. */
export function fileReaders({ preload, ueventHelper }: Paths): Reader[] {
  return [
    reader({ key: 'preload', file: 'ld_so_preload', path: preload }, preload),
    reader({ key: 'uevent', file: 'uevent_helper', path: ueventHelper }, ueventHelper),
  ]
}

/** Readers for the two files in the root of a hierarchy. `mountPoint` is the holder's path to it, `base` is ours. */
export function hierarchyReaders(hierarchy: string, mountPoint: string, base: string): Reader[] {
  return (['release_agent', 'notify_on_release'] as const).map((file) => {
    const path = `${mountPoint}/${file}`
    return reader({ key: cgroupKey(hierarchy, path), file, path }, `${base}/${file}`)
  })
}

/** The key of a cgroup file. Two hierarchies may be mounted at the same path in two mount namespaces. */
export function cgroupKey(hierarchy: string, path: string): string {
  return `${hierarchy} ${path}`
}

/**
 * The hierarchy in a `cgroupKey`; its name contains no space (cgroup1_parse_param() of kernel/cgroup/cgroup-v1.c).
 */
export function hierarchyOf(key: string): string {
  return key.slice(0, key.indexOf(' '))
}

function reader(place: Place, path: string): Reader {
  return { place, read: () => readValue(path) }
}

/** The registrations in binfmt_misc, read through a mount of our own because the host may have none. */
export type BinfmtView = {
  /** Path of the mount's root. */
  root: string
  read(): PlaceState[]
  close(): void
}

/** Null if binfmt_misc is missing or not loaded: then nothing can be registered. Throws without CAP_SYS_ADMIN. */
export function openBinfmt(procRoot: string): BinfmtView | null {
  // Checked first, because mounting it would load the module.
  if (!/\tbinfmt_misc$/m.test(readFileSync(`${procRoot}/filesystems`, 'latin1'))) return null
  const fd = mountDetached('binfmt_misc')
  const root = `/proc/self/fd/${fd}/.`
  return {
    root,
    read: () =>
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
