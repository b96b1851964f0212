import type { EvidenceFields } from '../../agent/model/evidence-type.ts'
import { processFields } from '../../agent/model/process-evidence.ts'

const process = {
  ...processFields,
  euid: 'number',
  host_uid: 'number',
  host_euid: 'number',
  root_on_host: 'flag',
  configured_user: 'text',
  started_at: 'text',
  file_origin: 'text',
  file_owner: 'number',
  file_mode: 'text',
  file_has_capabilities: 'flag',
  gained_by: 'text',
  uid_before: 'number',
  euid_before: 'number',
  capabilities_gained: ['text'],
  no_new_privileges_would_stop_it: 'flag',
  capabilities_beyond_configuration: ['text'],
} as const satisfies EvidenceFields

/** The evidence of each rule. */
export const rootEvidence = {
  'root-in-nonroot-container': process,
  'setuid-program': process,
  'privilege-escalation': process,
  'new-root-program': process,
} as const satisfies Record<string, EvidenceFields>
