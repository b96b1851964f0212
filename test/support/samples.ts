import type { Container, ContainerDetails } from '../../agent/model/container.ts'
import type { Detection, Finding } from '../../agent/model/finding.ts'
import type {
  Caller,
  EnteringProcess,
  ExecObservation,
  ExecSettings,
  Process,
  ProcessObservation,
  RuntimeFileObservation,
  SourceStatus,
  Writer,
} from '../../agent/model/observation.ts'

/** A sample container; every property can be overridden. */
export function sampleContainer({
  details,
  ...identity
}: Partial<Omit<Container, 'details'>> & { details?: Partial<ContainerDetails> | null } = {}): Container {
  return {
    id: 'a'.repeat(64),
    name: 'web-1',
    engineName: identity.name ?? 'web-1',
    createdAt: 900_000,
    image: 'nginx:1.27',
    imageId: `sha256:${'b'.repeat(64)}`,
    labels: {},
    composeProject: '',
    composeService: '',
    k8sNamespace: '',
    k8sPod: '',
    state: 'running',
    details: details === null ? null : { ...sampleDetails, ...details },
    ...identity,
  }
}

export const sampleDetails: ContainerDetails = {
  pid: 4200,
  startedAt: 1_000_000,
  user: '',
  tty: false,
  healthcheck: null,
  limits: { memoryBytes: null, cpus: null, pids: null },
  privileged: false,
  capabilitiesAdded: [],
  capabilitiesDropped: [],
  securityOptions: [],
  mounts: [],
  pidMode: '',
  command: ['/app'],
  runtime: 'runc',
  maskedPaths: [],
  readonlyPaths: [],
  appArmorProfile: '',
  processLabel: '',
  workingDirectory: '',
  restartCount: 0,
  oomKilled: false,
  execIds: [],
}

/** An exec as root of `true`, without a terminal. */
export function sampleExec({
  settings,
  ...exec
}: Partial<Omit<ExecObservation, 'settings'>> & {
  settings?: Partial<ExecSettings> | null
} = {}): ExecObservation {
  return {
    kind: 'exec',
    time: 2_000_000,
    container: sampleContainer(),
    execId: 'e'.repeat(64),
    argv: ['true'],
    exact: true,
    settings:
      settings === null
        ? null
        : { user: '', tty: false, openStdin: false, privileged: false, pid: 0, ...settings },
    healthcheck: false,
    ...exec,
  }
}

export function sampleDetection(detection: Partial<Detection> = {}): Detection {
  return {
    rule: 'exec-command',
    time: 2_000_000,
    container: sampleContainer(),
    summary: 'alice ran `true` in web-1',
    subject: ['true', 'root'],
    eventKey: 'e1',
    evidence: { argv: ['true'] },
    ...detection,
  }
}

export function sampleFinding(finding: Partial<Finding> = {}): Finding {
  const time = '2026-11-23T17:42:10.123Z'
  return {
    id: '01JDC000000000000000000000',
    time,
    detected_at: time,
    detector: 'exec-into-container',
    rule: 'interactive-shell',
    severity: 'warning',
    kind: 'event',
    state: 'firing',
    summary: 'alice opened an interactive shell in web-1 as root (`sh`)',
    host: 'node-7',
    container: {
      id: 'a'.repeat(64),
      name: 'web-1',
      image: 'nginx:1.27',
      image_id: '',
      compose_project: '',
      compose_service: '',
    },
    evidence: { argv: ['sh'], tty: true, pid: 4242 },
    count: 1,
    first_seen: time,
    last_seen: time,
    resolved_at: null,
    resolution: null,
    fingerprint: '9f2c41d07ab3',
    ...finding,
  }
}

/** A process of the container, as user 1000. */
export function sampleProcess({
  process,
  ...seen
}: Partial<Omit<ProcessObservation, 'process'>> & { process?: Partial<Process> } = {}): ProcessObservation {
  return {
    kind: 'process',
    time: 2_000_000,
    change: 'executed',
    container: sampleContainer(),
    origin: { via: 'init' },
    hostFiles: null,
    ...seen,
    process: {
      pid: 5_000,
      parentPid: 1,
      startTicks: 100,
      startedAt: 1_999_990,
      uid: 1_000,
      euid: 1_000,
      gid: 1_000,
      containerUid: 1_000,
      containerEuid: 1_000,
      capabilities: 0n,
      comm: 'app',
      exe: '/app',
      exeTruncated: false,
      exeFile: null,
      argv: ['/app'],
      argvTruncated: false,
      workingDirectory: '/',
      namespaces: { mount: 1, pid: 2, user: 3 },
      cgroup: '/docker/' + 'a'.repeat(64),
      ...process,
    },
  }
}

/** Alice, who ran `docker` in her shell. */
export function sampleCaller(caller: Partial<Caller> = {}): Caller {
  return {
    confidence: 'exact',
    client: 'seen',
    process: {
      pid: 4_300,
      uid: 0,
      user: 'root',
      loginUser: 'alice',
      exe: '/usr/bin/docker',
      argv: ['docker', 'exec', 'web-1', 'true'],
      ancestors: [{ pid: 4_200, exe: '/usr/bin/bash', argv: ['-bash'] }],
    },
    container: null,
    address: '',
    ...caller,
  }
}

/** A user on the host who entered a container without the Docker API. */
export function sampleEnteringProcess(
  argv: readonly string[],
  rest: Partial<EnteringProcess> = {},
): EnteringProcess {
  return {
    pid: 3_000,
    uid: 0,
    user: 'root',
    loginUser: '',
    exe: `/usr/bin/${argv[0] ?? ''}`,
    argv,
    containerId: null,
    ...rest,
  }
}

/** A root shell that has written to a file. */
export function sampleWriter(writer: Partial<Writer> = {}): Writer {
  return {
    pid: 4_242,
    uid: 0,
    user: 'root',
    loginUser: '',
    exe: '/bin/sh',
    argv: ['sh', '-c', 'echo evil > runc'],
    ancestors: [],
    packageManager: '',
    ...writer,
  }
}

/** dpkg, started by apt-get. */
export const sampleDpkg = sampleWriter({
  exe: '/usr/bin/dpkg',
  argv: ['/usr/bin/dpkg', '--unpack', 'runc.deb'],
  ancestors: [{ pid: 4_200, exe: '/usr/bin/apt-get', argv: ['apt-get', 'upgrade'] }],
  packageManager: 'dpkg',
})

export const sampleFileState = {
  device: 1,
  inode: 10,
  sizeBytes: 3,
  mode: 0o755,
  uid: 0,
  gid: 0,
  sha256: 'aa',
}

/** A write to runc by a shell on the host. */
export function sampleRuntimeFile(seen: Partial<RuntimeFileObservation> = {}): RuntimeFileObservation {
  return {
    kind: 'runtime-file',
    file: 'binary',
    time: 2_000_000.25,
    change: 'written',
    path: '/usr/sbin/runc',
    before: sampleFileState,
    after: { ...sampleFileState, sha256: 'bb' },
    writer: sampleWriter(),
    container: null,
    ...seen,
  }
}

/** A source in its best mode: processes by eBPF. */
export function sampleSourceStatus(status: Partial<SourceStatus> = {}): SourceStatus {
  return {
    kind: 'source-status',
    time: 0,
    source: 'processes',
    up: true,
    mode: 'ebpf',
    best: true,
    reason: '',
    ...status,
  }
}
