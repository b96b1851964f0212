import { timingSafeEqual } from 'node:crypto'
import koffi from 'koffi'

// sizeof(struct crypt_data) of libxcrypt's crypt.h; that of other libraries is smaller.
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
 * Whether a password is the one that a hash was made of, by the C library's crypt(3), which knows bcrypt among others.
 * It takes some 100 ms by design, which a worker thread spends. Rejects where the host has no such library.
 */
export function isPasswordOf(hash: string, password: string): Promise<boolean> {
  cryptR ??= loadCrypt()
  const call = cryptR
  return new Promise((resolve, reject) => {
    // Kept referenced by the callback for as long as the thread writes to it.
    const data = Buffer.alloc(dataBytes)
    call.async(password, hash, data, (error, made) => {
      data.fill(0)
      if (error !== null && error !== undefined) return reject(error)
      resolve(made !== null && isSame(made, hash))
    })
  })
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}

// Debian and its children; Fedora and its children; musl has it in the C library itself.
const names = ['libcrypt.so.1', 'libcrypt.so.2', null]

function loadCrypt(): CryptR {
  for (const name of names) {
    try {
      return koffi
        .load(name)
        .func('str crypt_r(const char *phrase, const char *setting, void *data)') as CryptR
    } catch {
      // The next name may be there.
    }
  }
  throw new Error('this host has no libcrypt, by which passwords are checked')
}
