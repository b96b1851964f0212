import type { Config } from '../../../config/schema.ts'

/** Maps the configuration section `docker` to the client's options. */
export function dockerOptions({ host, tls }: Config['docker']) {
  if (tls === undefined) return { host }
  return { host, tls: { caFile: tls.ca_file, certFile: tls.cert_file, keyFile: tls.key_file } }
}
