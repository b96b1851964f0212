import { isRootUser } from './container.ts'
import { clip } from '../lib/text.ts'

/** The user of a process for a summary. */
export function userNameOfId(uid: number): string {
  return userName(String(uid))
}

/** A user for a summary: `root` however it is written, a name as it is, and `uid 1000` for a number without a name. */
export function userName(user: string): string {
  if (isRootUser(user)) return 'root'
  return /^\d+(?::|$)/.test(user) ? `uid ${clip(user, 64)}` : clip(user, 64)
}
