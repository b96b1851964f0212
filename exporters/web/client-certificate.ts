import type { TLSSocket } from 'node:tls'
import type { ClientAuth, TlsConfig } from './web-config.ts'

/** Whether a connection's certificate satisfies `client_auth_type` and `client_allowed_sans`. */
export function isClientAccepted(
  socket: Pick<TLSSocket, 'authorized' | 'getPeerCertificate'>,
  tls: TlsConfig,
): boolean {
  const certificate = socket.getPeerCertificate()
  const isGiven = Object.keys(certificate).length > 0
  const isVerified = () => socket.authorized && isNamed(certificate.subjectaltname, tls.allowedNames)
  const demands: Readonly<Record<ClientAuth, () => boolean>> = {
    NoClientCert: () => true,
    RequestClientCert: () => true,
    RequireAnyClientCert: () => isGiven,
    VerifyClientCertIfGiven: () => !isGiven || isVerified(),
    RequireAndVerifyClientCert: isVerified,
  }
  return demands[tls.clientAuth]()
}

/** Parses `DNS:a.example, IP Address:10.0.0.1, URI:spiffe://x`; Node quotes names with special characters. */
function isNamed(subjectAlternativeName = '', allowed: readonly string[]): boolean {
  if (allowed.length === 0) return true
  const names = [...subjectAlternativeName.matchAll(/(?:^|, )[A-Za-z ]+:("(?:[^"\\]|\\.)*"|[^,]*)/g)].map(
    ([, name = '']) => (name.startsWith('"') ? String(JSON.parse(name)) : name),
  )
  return names.some((name) => allowed.includes(name))
}
