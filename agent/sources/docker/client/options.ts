import type { Config } from '../../../config/schema.ts'

/** The section `docker` as the client takes it. */
export function dockerOptions({ host, tls }: Config['docker']) {
  if (tls === undefined) return { host }
  return { host, tls: { caFile: tls.ca_file, certFile: tls.cert_file, keyFile: tls.key_file } }
}
