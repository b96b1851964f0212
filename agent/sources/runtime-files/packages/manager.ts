import type { PackageManagerName } from '../../../model/observation.ts'

/** One way of packing software, as far as it tells whose a file is; it reads the databases and runs nothing. */
export type PackageManager = {
  name: PackageManagerName
  /** Null where no package has the file. */
  ownerOf(path: string): Promise<OwnedFile | null>
}

export type OwnedFile = {
  name: string
  version: string
  /** As packed; null where the package keeps none of it, `unchangeable` where the file lies on a read-only image. */
  digest: Digest | null | 'unchangeable'
}

/** `hex` in lower case. */
export type Digest = { algorithm: 'md5' | 'sha1' | 'sha256' | 'sha384' | 'sha512'; hex: string }
