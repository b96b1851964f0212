import type { Rule } from '../../agent/model/finding.ts'

/** Rules about the programs of the runtime. */
export const binaryRules = {
  'runtime-binary-written': {
    severity: 'critical',
    kind: 'event',
    technique: 'T1611',
    summary:
      'A runtime program, which runs as root on the host at every container start, was overwritten, or its mode or owner was changed.',
    remedy:
      'Start no container; verify the file against its package (dpkg --verify, rpm -V), reinstall it, and assume the host is compromised if a container wrote it.',
  },
  'runtime-binary-replaced': {
    severity: 'critical',
    kind: 'event',
    technique: 'T1554',
    summary:
      'A runtime program, which runs as root on the host at every container start, was replaced or removed, and not by an upgrade.',
    remedy:
      'If you put it there yourself, run `tidewatch runtime accept PATH`; otherwise start no container, reinstall it from its package, and identify the writer.',
  },
  'runtime-binary-mismatch': {
    severity: 'critical',
    kind: 'condition',
    technique: 'T1554',
    summary:
      'A runtime program, which runs as root on the host at every container start, differs from its package or its accepted version.',
    remedy:
      'Reinstall it from its package; if you put it there yourself, run `tidewatch runtime accept PATH`.',
  },
  'runtime-upgraded': {
    severity: 'info',
    kind: 'event',
    summary:
      'The programs of the runtime were upgraded by the package manager, or replaced with a previously accepted file.',
    remedy: 'Nothing; it is reported so that a change of the runtime can be traced later.',
  },
} as const satisfies Record<string, Rule>

/** Rules about settings that make a program run as root on the host. */
export const breakoutFileRules = {
  'breakout-file-changed': {
    severity: 'warning',
    kind: 'event',
    technique: 'T1611',
    summary:
      'A host setting was changed that makes the kernel, the engine or every process run a given program as root.',
    remedy: 'Nothing if you set it; otherwise restore it, and identify the writer.',
  },
  'breakout-file-changed-by-container': {
    severity: 'critical',
    kind: 'event',
    technique: 'T1611',
    summary:
      'A container changed, or tried to change, a setting that makes a program run as root on the host.',
    remedy:
      'Stop the container and assume the host is compromised; restore the setting, and remove the mount or privilege that let the container write it.',
  },
} as const satisfies Record<string, Rule>
