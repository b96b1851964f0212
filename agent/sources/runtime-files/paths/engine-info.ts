/** The programs that `docker info` names as runtimes and as init, bare names or paths; runc when it names none. */
export function runtimePrograms(info: unknown): string[] {
  const runtimes = Object.values(record(record(info)['Runtimes'])).flatMap(programsOfRuntime)
  return [...new Set([...(runtimes.length > 0 ? runtimes : ['runc']), ...text(record(info)['InitBinary'])])]
}

/**
 * The security options that `docker info` reports as in force: `apparmor`, `seccomp`, `selinux`, `userns`,
 * `rootless`; null when it did not answer.
 */
export function securityOptions(info: unknown): ReadonlySet<string> | null {
  const options = record(info)['SecurityOptions']
  if (!Array.isArray(options)) return null
  return new Set(options.flatMap((option) => /(?:^|,)name=([^,]+)/.exec(String(option))?.[1] ?? []))
}

function programsOfRuntime(runtime: unknown): string[] {
  const { path, runtimeType } = record(runtime)
  return [...text(path), ...text(runtimeType).map(shimOfType)]
}

/** containerd runs `containerd-shim-kata-v2` for the type `io.containerd.kata.v2`; a path is returned unchanged. */
function shimOfType(type: string): string {
  const [name, version] = type.split('.').slice(-2)
  return type.includes('/') || version === undefined ? type : `containerd-shim-${name}-${version}`
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function text(value: unknown): string[] {
  return typeof value === 'string' && value !== '' ? [value] : []
}
