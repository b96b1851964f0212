import { SystemCallError } from '../../../linux/libc.ts'
import { fanotifyWatch } from './fanotify-watch.ts'
import { inotifyWatch } from './inotify-watch.ts'
import type { Watch } from './watch.ts'

/** Opens the best watch that the kernel allows. */
export function openWatch(openBest: () => Watch = fanotifyWatch): Watch {
  try {
    return openBest()
  } catch (error) {
    if (error instanceof SystemCallError) return inotifyWatch(reasonOf(error))
    throw error
  }
}

function reasonOf({ code, message }: SystemCallError): string {
  if (code === 'EPERM')
    return 'fanotify is not permitted, so the writing process is unknown: run as root or grant CAP_SYS_ADMIN'
  if (code === 'EINVAL' || code === 'ENOSYS')
    return 'fanotify with names needs Linux 5.9, so the writing process is unknown: upgrade the kernel'
  return `fanotify failed, so the writing process is unknown: ${message}`
}
