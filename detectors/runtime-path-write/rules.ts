import type { Rule } from '../../agent/model/finding.ts'

/** The rules on the programs of the runtime. */
export const binaryRules = {
  'runtime-binary-written': {
    severity: 'critical',
    kind: 'event',
    summary:
      'A program that runs as root on the host whenever a container starts was written to, or got another mode or owner.',
    remedy:
      'Start no container; compare the file with its package (dpkg --verify, rpm -V), reinstall it, and treat the host as entered if a container wrote it.',
  },
  'runtime-binary-replaced': {
    severity: 'critical',
    kind: 'event',
    summary:
      'A program that runs as root on the host whenever a container starts was replaced by another file, or removed, and not by an upgrade.',
    remedy:
      'If you put it there yourself, run `tidewatch runtime accept PATH`; else start no container, reinstall it from its package, and find out what the writer is.',
  },
  'runtime-binary-mismatch': {
    severity: 'critical',
    kind: 'condition',
    summary:
      'A program that runs as root on the host whenever a container starts differs from what its package brought, or from what was accepted.',
    remedy:
      'Reinstall it from its package; if you put it there yourself, run `tidewatch runtime accept PATH`.',
  },
  'runtime-upgraded': {
    severity: 'info',
    kind: 'event',
    summary:
      'The programs of the runtime were upgraded by the package manager, or by what was accepted before.',
    remedy: 'Nothing; it is told so that a change of the runtime can be found later.',
  },
} as const satisfies Record<string, Rule>

/** What can be said of settings that turn into programs of the host's root. */
export const breakoutFileRules = {
  'breakout-file-changed': {
    severity: 'warning',
    kind: 'event',
    summary:
      'On the host, a setting was changed by which the kernel, the engine or every process runs a program as root.',
    remedy: 'Nothing if you set it; else set it back, and find out who the writer is.',
  },
  'breakout-file-changed-by-container': {
    severity: 'critical',
    kind: 'event',
    summary:
      'A container changed, or tried to change, a setting by which a program is run as root on the host.',
    remedy:
      'Stop the container and treat the host as entered; set it back, and take the mount or the right from the container that it was written through.',
  },
} as const satisfies Record<string, Rule>
