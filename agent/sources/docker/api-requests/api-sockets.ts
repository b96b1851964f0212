/**
 * What an engine's socket may be bound to, by its name for people (`endpointName`): also the other name of /run, because
 * systemd binds the one and the client asks for the other. None for an engine that is asked by TCP.
 */
export function apiSocketsOf(endpoint: string): readonly string[] {
  const scheme = 'unix://'
  if (!endpoint.startsWith(scheme)) return []
  const path = endpoint.slice(scheme.length)
  if (path.startsWith('/var/run/')) return [path, path.slice('/var'.length)]
  return path.startsWith('/run/') ? [path, `/var${path}`] : [path]
}
