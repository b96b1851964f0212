import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A CA, and certificates signed by it: for a server named localhost (and 127.0.0.1), and for a client. */
export type Certificates = Readonly<
  Record<'ca' | 'serverCert' | 'serverKey' | 'clientCert' | 'clientKey', string>
>

/** Creates them in a folder with openssl; the values are paths of PEM files. */
export function makeCertificates(directory: string): Certificates {
  const path = (name: string) => join(directory, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    path('ca.key'),
    '-out',
    path('ca.pem'),
    '-subj',
    '/CN=test',
    '-days',
    '2',
  )
  const sign = (name: string, subject: string, extension: string) => {
    writeFileSync(path(`${name}.ext`), extension)
    openssl('req', ...key, '-keyout', path(`${name}.key`), '-out', path(`${name}.csr`), '-subj', subject)
    openssl(
      ...['x509', '-req', '-in', path(`${name}.csr`), '-CA', path('ca.pem'), '-CAkey', path('ca.key')],
      ...['-CAcreateserial', '-out', path(`${name}.pem`), '-days', '2', '-extfile', path(`${name}.ext`)],
    )
  }
  sign('server', '/CN=localhost', 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
  sign('client', '/CN=scraper', 'subjectAltName=DNS:scraper.example\nextendedKeyUsage=clientAuth\n')
  return {
    ca: path('ca.pem'),
    serverCert: path('server.pem'),
    serverKey: path('server.key'),
    clientCert: path('client.pem'),
    clientKey: path('client.key'),
  }
}
