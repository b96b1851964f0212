import { baseName } from '../lib/text.ts'

const multiCall = ['busybox', 'toybox']

/** Which of the many programs that one file holds was called; empty for a file that is one program only. */
export function appletOf({ exe, argv }: { exe: string; argv: readonly string[] }): string {
  if (!multiCall.includes(baseName(exe))) return ''
  // A login shell's name begins with a dash.
  const called = baseName(argv[0] ?? '').replace(/^-/, '')
  return multiCall.includes(called) ? baseName(argv[1] ?? '') : called
}
