/** An error whose message is all a user needs: it is printed without a stack. */
export class UserError extends Error {
  override name = 'UserError'
  readonly exitCode: number

  constructor(message: string, exitCode = 1, options?: ErrorOptions) {
    super(message, options)
    this.exitCode = exitCode
  }
}

/** `EX_CONFIG` of sysexits.h: the configuration is invalid. */
export const exitConfiguration = 78

/** Formats anything that was thrown as one line, including the causes. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const own = error.message || errorCode(error) || error.name
  return error.cause === undefined ? own : `${own}: ${messageOf(error.cause)}`
}

/** The system error code (`ENOENT`, `ECONNREFUSED`), or an empty string. */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** Whether an error means that a process, or its file in procfs, does not exist: it has exited, or never existed. */
export function isProcessGone(error: unknown): boolean {
  return ['ENOENT', 'ESRCH'].includes(errorCode(error))
}
