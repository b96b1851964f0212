import { libc } from './libc.ts'

const getxattr = libc.func('long getxattr(const char *path, const char *name, void *value, size_t size)') as (
  path: string,
  name: string,
  value: null,
  size: number,
) => number

/** Whether a file has file capabilities (capabilities(7)). Node has no call for extended attributes. */
export function hasFileCapabilities(path: string): boolean {
  return getxattr(path, 'security.capability', null, 0) > 0
}
