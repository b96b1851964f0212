import type { ContainerDetails } from '../../agent/model/container.ts'

/**
 * The capabilities that a container's configuration allows, as a bit mask (`TweakCapabilities` of moby's oci/caps).
 */
export function configuredCapabilities({
  privileged,
  capabilitiesAdded,
  capabilitiesDropped,
}: Pick<ContainerDetails, 'privileged' | 'capabilitiesAdded' | 'capabilitiesDropped'>): bigint {
  if (privileged) return all
  const added = capabilitiesAdded.map(normalized)
  const dropped = capabilitiesDropped.map(normalized)
  if (added.includes('ALL')) return all & ~maskOf(dropped)
  if (dropped.includes('ALL')) return maskOf(added)
  return (maskOf(defaults) & ~maskOf(dropped)) | maskOf(added)
}

/** The names of a bit mask's capabilities, as in Docker's options. */
export function capabilityNames(mask: bigint): string[] {
  return names.filter((_name, number) => (mask & (1n << BigInt(number))) !== 0n)
}

function maskOf(wanted: readonly string[]): bigint {
  // The engine refuses unknown names.
  return wanted.reduce(
    (mask, name) => (names.includes(name) ? mask | (1n << BigInt(names.indexOf(name))) : mask),
    0n,
  )
}

function normalized(name: string): string {
  return name.toUpperCase().replace(/^CAP_/, '')
}

// Including those that a later kernel may add.
const all = -1n

// Docker's defaults: moby's oci/caps/defaults.go.
const defaults = (
  'CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL ' +
  'AUDIT_WRITE'
).split(' ')

// Ordered by number: include/uapi/linux/capability.h.
const names = (
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE ' +
  'NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN ' +
  'SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP ' +
  'MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'
).split(' ')
