import type { HostHardening } from '../../../model/observation.ts'
import { isImmutable } from '../../../linux/file-flags.ts'
import { securityOptions } from '../paths/engine-info.ts'
import { tryRead } from './files.ts'
import { mountOf, parseMounts } from '../../../linux/mountinfo.ts'
import type { RuntimeFile } from '../paths/runtime-file.ts'

export type HardeningOptions = {
  procRoot: string
  /** The engine's answer to `docker info`. */
  engineInfo: () => Promise<unknown>
  isImmutable?: (path: string) => boolean | null
}

/**
 * Which measures would stop a write to the runtime, or to host files that a container can reach. A measure on files
 * is in force when it protects every program of the runtime; one that cannot be determined is left out.
 */
export function hardening({ procRoot, engineInfo, isImmutable: ask = isImmutable }: HardeningOptions) {
  return async (files: readonly RuntimeFile[]): Promise<HostHardening['measures']> => {
    const paths = files.filter(({ kind, inode }) => kind === 'binary' && inode !== 0).map(({ path }) => path)
    // The host's mounts, not ours: /usr may be read-only in the mount namespace of our systemd unit.
    const mounts = parseMounts(tryRead(`${procRoot}/1/mountinfo`))
    const onMounts = paths.map((path) => mountOf(path, mounts)?.readOnly ?? null)
    const options = securityOptions(await engineInfo().catch(() => null))
    return {
      ...all('runtime-path-read-only', onMounts),
      ...all('runtime-file-immutable', paths.map(ask)),
      ...(options !== null && {
        'userns-remap': options.has('userns') || options.has('rootless'),
        selinux: options.has('selinux'),
        apparmor: options.has('apparmor'),
        seccomp: options.has('seccomp'),
      }),
    }
  }
}

function all(measure: keyof HostHardening['measures'], answers: readonly (boolean | null)[]) {
  if (answers.length === 0 || answers.includes(null)) return {}
  return { [measure]: answers.every((answer) => answer === true) }
}
