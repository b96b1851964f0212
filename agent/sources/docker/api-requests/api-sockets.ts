/**
 * The paths that an engine's socket may be bound to, from its display name (`endpointName`). Includes the other name
 * of /run, because systemd binds one and the client uses the other. Empty for a TCP endpoint.
 */
export function apiSocketsOf(endpoint: string): readonly string[] {
  const scheme = 'unix://'
  if (!endpoint.startsWith(scheme)) return []
  const path = endpoint.slice(scheme.length)
  if (path.startsWith('/var/run/')) return [path, path.slice('/var'.length)]
  return path.startsWith('/run/') ? [path, `/var${path}`] : [path]
}
