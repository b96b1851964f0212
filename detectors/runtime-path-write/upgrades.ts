import type { PackageFile } from '../../agent/model/observation.ts'
import type { Change, Upgrade } from './describe.ts'

/** Joins the files of one upgrade to one finding. */
export type UpgradeLedger = {
  /** What a file's upgrade belongs to; `of` is null for a file that no package has. */
  take(change: Change, of: PackageFile | null, versionBefore: string): Upgrade
}

// From a package's first file to its last are some seconds.
const togetherMs = 60_000

// docker.io brings three programs of the runtime, the vendor's packages no more.
const maxFiles = 32

/** Remembers the upgrades of the last minute. */
export function upgradeLedger(): UpgradeLedger {
  const recent = new Map<string, Upgrade & { time: number }>()
  return {
    take({ path, time }, of, versionBefore) {
      for (const [key, { time: at }] of recent) if (Math.abs(time - at) >= togetherMs) recent.delete(key)
      const key = of === null ? path : `${of.manager} ${of.name} ${of.version}`
      const known = recent.get(key)
      // The same file once more is another upgrade: the package was installed anew.
      const belongs = known !== undefined && !known.files.includes(path) && known.files.length < maxFiles
      const upgrade = belongs
        ? { ...known, files: [...known.files, path], completes: true }
        : { versionBefore, files: [path], act: `upgraded ${key} ${Math.round(time)}`, completes: false, time }
      recent.set(key, upgrade)
      return upgrade
    },
  }
}
