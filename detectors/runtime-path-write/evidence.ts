import type { EvidenceFields } from '../../agent/model/evidence-type.ts'
import { processFields } from '../../agent/model/process-evidence.ts'
import type { breakoutRules } from './breakouts.ts'
import type { binaryRules, breakoutFileRules } from './rules.ts'

const writer = {
  pid: 'number',
  uid: 'number',
  user: 'text',
  login_user: 'text',
  exe: 'text',
  argv: ['text'],
  ancestors: ['text'],
  package_manager: 'text',
  unknown_because: 'text',
} as const satisfies EvidenceFields

const differences = {
  sha256_before: 'text',
  sha256_after: 'text',
  inode_before: 'number',
  inode_after: 'number',
  mode_before: 'text',
  mode_after: 'text',
  owner_before: 'text',
  owner_after: 'text',
} as const satisfies EvidenceFields

const fileChange = {
  path: 'text',
  change: 'text',
  no_upgrade_because: 'text',
  writer,
  ...differences,
} as const satisfies EvidenceFields

// Files that configure the engine, and kernel settings; they are observed in different ways.
const breakoutFile = {
  file: 'text',
  path: 'text',
  change: 'text',
  old: 'text',
  new: 'text',
  seen_by: 'text',
  unwatched: 'flag',
  writer,
  mounted_by: [{ pid: 'number', exe: 'text', argv: ['text'] }],
  lines_removed: ['text'],
  lines_added: ['text'],
  ...differences,
} as const satisfies EvidenceFields

/** Evidence about runtime files, and about escapes through the runtime. */
export const runtimeEvidence = {
  'runtime-binary-written': fileChange,
  'runtime-binary-replaced': fileChange,
  'runtime-binary-mismatch': {
    path: 'text',
    sha256: 'text',
    expected_sha256: 'text',
    package: 'text',
    package_manager: 'text',
    version: 'text',
  },
  'runtime-upgraded': {
    files: ['text'],
    package: 'text',
    package_manager: 'text',
    version_before: 'text',
    version_after: 'text',
    accepted: 'flag',
    writer,
    ...differences,
  },
  'breakout-file-changed': breakoutFile,
  'breakout-file-changed-by-container': breakoutFile,
  'runtime-path-mounted': { mounts: [{ source: 'text', destination: 'text', files: ['text'] }] },
  'overwrite-attempt': {
    configured: { command: ['text'] },
    requested: { argv: ['text'], exec_id: 'text' },
    opened: {
      path: 'text',
      pid: 'number',
      uid: 'number',
      program: 'text',
      argv: ['text'],
      by_runtime: 'flag',
      command: ['text'],
    },
    executed: { ...processFields, exec_id: 'text' },
  },
  'working-directory-escape': {
    working_directory: 'text',
    command: ['text'],
    program: 'text',
    argv: ['text'],
    pid: 'number',
    uid: 'number',
    exec_id: 'text',
  },
  'mask-missing': { missing: 'text', path: 'text', found: 'text', pid: 'number' },
  'usermode-helper-from-container': { path: 'text', found_by: 'text', ...processFields },
  'runtime-vulnerable': {
    cve: 'text',
    component: 'text',
    version: 'text',
    package_version: 'text',
    sources: ['text'],
  },
} as const satisfies Record<
  keyof typeof binaryRules | keyof typeof breakoutFileRules | keyof typeof breakoutRules,
  EvidenceFields
>
