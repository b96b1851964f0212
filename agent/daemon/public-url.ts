/**
 * The address under which users reach the web endpoint: the configured one, or the one it listens on. An endpoint that
 * listens on all addresses is reached by the host's name.
 */
export function publicUrl(listening: string, host: string, configured: string | undefined): string {
  if (configured !== undefined) return configured
  const url = new URL(listening)
  if (url.hostname === 'localhost') url.hostname = host
  return url.origin
}
