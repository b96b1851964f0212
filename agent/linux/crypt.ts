import { timingSafeEqual } from 'node:crypto'
import koffi from 'koffi'

// sizeof(struct crypt_data) in libxcrypt's crypt.h; other libraries use less.
const dataBytes = 32_768

type CryptR = {
  async: (
    phrase: string,
    setting: string,
    data: Buffer,
    done: (error: unknown, hash: string | null) => void,
  ) => void
}

let cryptR: CryptR | undefined

/**
 * Whether a password matches a hash, by the C library's crypt(3), which supports bcrypt among others. It takes some
 * 100 ms by design and runs in a worker thread. Rejects if the host has no such library.
 */
export function isPasswordOf(hash: string, password: string): Promise<boolean> {
  cryptR ??= loadCrypt()
  const call = cryptR
  return new Promise((resolve, reject) => {
    // The callback references it for as long as the thread writes to it.
    const data = Buffer.alloc(dataBytes)
    call.async(password, hash, data, (error, computed) => {
      data.fill(0)
      if (error !== null && error !== undefined) return reject(error)
      resolve(computed !== null && isSame(computed, hash))
    })
  })
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}

// Debian and derivatives; Fedora and derivatives; musl has it in the C library itself.
const names = ['libcrypt.so.1', 'libcrypt.so.2', null]

function loadCrypt(): CryptR {
  for (const name of names) {
    try {
      return koffi
        .load(name)
        .func('str crypt_r(const char *phrase, const char *setting, void *data)') as CryptR
    } catch {
      // Try the next name.
    }
  }
  throw new Error('cannot check passwords: libcrypt not found on this host')
}
