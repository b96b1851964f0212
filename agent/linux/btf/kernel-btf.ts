import { readFileSync } from 'node:fs'
import { errorCode } from '../../lib/errors.ts'
import { type Btf, readBtf } from './btf.ts'

let last: WeakRef<Btf> | undefined

/**
 * The type information of the running kernel. Reading it takes 70 ms and holding it 5 MB: concurrent callers share
 * one object, which is freed once none of them references it.
 */
export function kernelBtf(): Btf {
  const known = last?.deref()
  if (known !== undefined) return known
  const btf = readBtf(readTypeInformation())
  last = new WeakRef(btf)
  return btf
}

function readTypeInformation(): Buffer {
  try {
    return readFileSync('/sys/kernel/btf/vmlinux')
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
    throw new Error(
      'the kernel provides no BTF type information (CONFIG_DEBUG_INFO_BTF, common since Linux 5.8)',
      {
        cause: error,
      },
    )
  }
}
