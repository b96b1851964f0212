import type { PackageFile } from '../../agent/model/observation.ts'
import type { Change, Upgrade } from './describe.ts'

/** Makes one finding of the files of one upgrade. */
export type UpgradeTracker = {
  /** The upgrade that a file belongs to; `of` is null for a file that no package contains. */
  take(change: Change, of: PackageFile | null, versionBefore: string): Upgrade
}

// The files of one package are replaced within some seconds.
const togetherMs = 60_000

// docker.io contains three programs of the runtime, the vendor's packages at most as many.
const maxFiles = 32

/** Tracks the upgrades of the last minute. */
export function upgradeTracker(): UpgradeTracker {
  const recent = new Map<string, Upgrade & { time: number }>()
  return {
    take({ path, time }, of, versionBefore) {
      for (const [key, { time: at }] of recent) if (Math.abs(time - at) >= togetherMs) recent.delete(key)
      const key = of === null ? path : `${of.manager} ${of.name} ${of.version}`
      const known = recent.get(key)
      // The same file again is another upgrade: the package was reinstalled.
      const belongs = known !== undefined && !known.files.includes(path) && known.files.length < maxFiles
      const upgrade = belongs
        ? { ...known, files: [...known.files, path], isUpdate: true }
        : {
            versionBefore,
            files: [path],
            eventKey: `upgraded ${key} ${Math.round(time)}`,
            isUpdate: false,
            time,
          }
      recent.set(key, upgrade)
      return upgrade
    },
  }
}
