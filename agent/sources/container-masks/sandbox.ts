import { isSandboxProgram } from '../../model/sandbox-program.ts'

/** Engine settings that affect how containers are confined. */
export type EngineFacts = {
  /** Names of runtimes that give a container its own kernel or procfs. */
  sandboxes: ReadonlySet<string>
  defaultRuntime: string
  /** Whether containers get a seccomp filter by default; null if unknown. */
  seccomp: boolean | null
}

export const noFacts: EngineFacts = { sandboxes: new Set(), defaultRuntime: '', seccomp: null }

/** Parses the answer to `docker info`. */
export function engineFactsOf(info: Readonly<Record<string, unknown>>): EngineFacts {
  const runtimes = Object.entries(record(info['Runtimes']))
  const sandboxes = runtimes
    .filter(([name, runtime]) => isSandbox(name, record(runtime)))
    .map(([name]) => name)
  const options = Array.isArray(info['SecurityOptions']) ? info['SecurityOptions'].map(String) : null
  return {
    sandboxes: new Set(sandboxes),
    defaultRuntime: typeof info['DefaultRuntime'] === 'string' ? info['DefaultRuntime'] : '',
    seccomp: options && options.some((option) => /^name=seccomp(?!.*profile=unconfined)/.test(option)),
  }
}

/** Whether a container's mounts say nothing about the host, because it sees a guest kernel or an emulated procfs. */
export function isSandboxed(runtime: string, { sandboxes, defaultRuntime }: EngineFacts): boolean {
  const name = runtime === '' ? defaultRuntime : runtime
  // containerd accepts runtime types that are not configured: `io.containerd.kata.v2`, `io.containerd.runsc.v1`.
  return sandboxes.has(name) || isSandboxProgram(name)
}

function isSandbox(name: string, { path, runtimeType }: Record<string, unknown>): boolean {
  return [name, path, runtimeType].some((text) => typeof text === 'string' && isSandboxProgram(text))
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}
