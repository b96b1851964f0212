import type { EvidenceFields } from '../../agent/model/evidence-type.ts'
import { processFields } from '../../agent/model/process-evidence.ts'
import type { execRules } from './rules.ts'

const exec = {
  argv: ['text'],
  argv_exact: 'flag',
  user: 'text',
  tty: 'flag',
  open_stdin: 'flag',
  privileged: 'flag',
  configured_user: 'text',
  pid: 'number',
  exec_id: 'text',
  caller: {
    confidence: 'text',
    pid: 'number',
    user: 'text',
    login_user: 'text',
    argv: ['text'],
    ancestors: ['text'],
    container: 'text',
    container_id: 'text',
    address: 'text',
    address_by: 'text',
    candidates: ['text'],
  },
  programs: [{ argv: ['text'], pid: 'number', uid: 'number' }],
  exit_code: 'number',
  duration_seconds: 'number',
  checks_in_last_minute: 'number',
} as const satisfies EvidenceFields

/** The evidence of each rule. */
export const execEvidence = {
  'exec-command': exec,
  'interactive-shell': exec,
  'exec-as-root': exec,
  'privileged-exec': exec,
  'exec-from-container': exec,
  'healthcheck-lookalike': exec,
  'untracked-exec': {
    argv: ['text'],
    program: 'text',
    pid: 'number',
    user: 'text',
    configured_user: 'text',
    tool: 'text',
    tool_pid: 'number',
    tool_user: 'text',
    login_user: 'text',
    tool_argv: ['text'],
    ancestry: ['text'],
    from_container_id: 'text',
    unknown_exec_id: 'text',
    started_at: 'text',
  },
  'host-namespace-entered': {
    entered: 'text',
    ...processFields,
    host_uid: 'number',
    host_user: 'text',
    login_user: 'text',
    ancestry: ['text'],
    privileged: 'flag',
    exec_id: 'text',
  },
  'file-copy': { direction: 'text' },
} as const satisfies Record<keyof typeof execRules, EvidenceFields>
