import type { PackageManagerName } from '../../../model/observation.ts'

/** Finds the package that owns a file. It reads the package databases and runs no program. */
export type PackageManager = {
  name: PackageManagerName
  /** Null when no package owns the file. */
  ownerOf(path: string): Promise<OwnedFile | null>
}

export type OwnedFile = {
  name: string
  version: string
  /** As packed; null when the package records no digest, `unchangeable` when the file is on a read-only image. */
  digest: Digest | null | 'unchangeable'
}

/** `hex` in lower case. */
export type Digest = { algorithm: 'md5' | 'sha1' | 'sha256' | 'sha384' | 'sha512'; hex: string }
