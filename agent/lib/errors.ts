/** An error whose message is all a user needs: printed alone, without a stack. */
export class UserError extends Error {
  override name = 'UserError'
  readonly exitCode: number

  constructor(message: string, exitCode = 1, options?: ErrorOptions) {
    super(message, options)
    this.exitCode = exitCode
  }
}

/** `EX_CONFIG` of sysexits.h: the configuration is wrong. */
export const exitConfiguration = 78

/** One line for a person out of anything that was thrown, with the reasons it was caused by. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const own = error.message || errorCode(error) || error.name
  return error.cause === undefined ? own : `${own}: ${messageOf(error.cause)}`
}

/** The system's name of an error (`ENOENT`, `ECONNREFUSED`), or an empty string. */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** Whether an error only says that a process, or a file of it in procfs, is gone: it ended meanwhile, or never was. */
export function isProcessGone(error: unknown): boolean {
  return ['ENOENT', 'ESRCH'].includes(errorCode(error))
}
