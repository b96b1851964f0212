import type { EvidenceFields } from '../../agent/model/evidence-type.ts'

const oom = {
  seen_by: 'text',
  limit_bytes: 'number',
  last_working_set_bytes: 'number',
} as const satisfies EvidenceFields
const pids = { current: 'number', limit: 'number' } as const satisfies EvidenceFields
const burst = { ...pids, grown_by: 'number', in_seconds: 'number' } as const satisfies EvidenceFields

/** Evidence about a container at its limits. */
export const limitEvidence = {
  'memory-near-limit': {
    working_set_bytes: 'number',
    limit_bytes: 'number',
    ratio: 'number',
    growth_bytes_per_second: 'number',
    seconds_to_limit: 'number',
  },
  'memory-pressure': {
    some_ratio: 'number',
    full_ratio: 'number',
    working_set_bytes: 'number',
    limit_bytes: 'number',
    swap_bytes: 'number',
  },
  'oom-kill': { kills: 'number', ...oom, killed_processes: ['text'], killed_execs: ['text'] },
  'container-oom-killed': { exit_code: 'number', ...oom, first_process: 'text' },
  'cpu-throttled': {
    throttled_ratio: 'number',
    throttled_seconds: 'number',
    window_seconds: 'number',
    quota_cores: 'number',
  },
  'pids-near-limit': { ...pids, ratio: 'number' },
  // A burst that reaches the limit is reported as part of this finding.
  'pids-limit-hit': { ...burst, refused_forks: 'number' },
  'process-burst': burst,
  'restart-loop': {
    restarts: 'number',
    within_seconds: 'number',
    exit_codes: ['number'],
    restart_count: 'number',
  },
  'no-limits': { missing: ['text'] },
} as const satisfies Record<string, EvidenceFields>
