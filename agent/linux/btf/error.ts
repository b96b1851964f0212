/** The type information is malformed (linux/btf.h), or lacks the requested type. */
export class BtfError extends Error {
  override name = 'BtfError'
}

/** Turns the RangeError that Node throws for truncated bytes into a BtfError. */
export function checked<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof RangeError) throw new BtfError('type information is truncated', { cause: error })
    throw error
  }
}
