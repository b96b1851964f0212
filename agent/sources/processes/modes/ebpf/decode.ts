import { common } from '../../../../ebpf/layout.ts'
import type { ProcessTracker } from '../../tracker.ts'
import { cgroupCache, type CountedCgroup } from './cgroup-cache.ts'
import { execDecoder } from './exec/decode.ts'
import { decodeExit } from './exit/decode.ts'
import { decodeFork } from './fork/decode.ts'
import { decodeVictim } from './oom-victim/decode.ts'
import { recordTypes } from './record-types.ts'
import { decodeRequest, type RequestListener } from './request/decode.ts'

export type Decoder = {
  /** Passes a decoded record to the listener; returns false for a malformed record. */
  decode(bytes: Buffer, offset: number, length: number): boolean
  /** Cgroups seen so far, with the budget keys of their events. */
  cgroups(): Iterable<CountedCgroup>
}

/** Receives the decoded records; times in milliseconds since boot. */
export type Listener = Pick<ProcessTracker, 'executed' | 'forked' | 'exited' | 'idsChanged' | 'oomVictim'> &
  RequestListener

/** Decodes the records that the kernel programs write: each by the decoder of its program. */
export function recordDecoder(listener: Listener): Decoder {
  const cgroups = cgroupCache(() => execs.forgetPlaces())
  const execs = execDecoder(cgroups, listener)

  function decode(bytes: Buffer, offset: number, length: number): boolean {
    if (length < typeBytes) return false
    switch (bytes.readUInt32LE(offset + common.type)) {
      case recordTypes.executed:
        return execs.decode(bytes, offset, length)
      case recordTypes.forked:
        return decodeFork(bytes, offset, length, listener)
      case recordTypes.exited:
        return decodeExit(bytes, offset, length, listener)
      case recordTypes.requested:
        return decodeRequest(bytes, offset, length, cgroups, listener)
      case recordTypes.oomVictim:
        return decodeVictim(bytes, offset, length, cgroups, listener)
      default:
        return false
    }
  }

  return { decode, cgroups: cgroups.all }
}

const typeBytes = 4
