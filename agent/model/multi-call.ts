import { baseName } from '../lib/text.ts'

const multiCall = ['busybox', 'toybox']

/** The applet of a multi-call binary that was called; empty for any other program. */
export function appletOf({ exe, argv }: { exe: string; argv: readonly string[] }): string {
  if (!multiCall.includes(baseName(exe))) return ''
  // A login shell's name begins with a dash.
  const called = baseName(argv[0] ?? '').replace(/^-/, '')
  return multiCall.includes(called) ? baseName(argv[1] ?? '') : called
}
