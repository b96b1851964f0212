import { UserError } from '../../../lib/errors.ts'
import { type JsonObject, textOf } from '../../../lib/json-object.ts'

/** What `GET /version` said, and the API version that all further calls are pinned to. */
export type EngineVersion = {
  /** Of the engine, such as `20.10.24+dfsg1`. */
  version: string
  /** Such as `1.41`: the newest that the engine and tidewatch both speak. */
  apiVersion: string
  /** The whole answer, with the versions of containerd and runc. */
  raw: JsonObject
}

/** Picks the API version: an unpinned call gets the engine's newest, whose answers may be shaped anew. */
export function engineVersionOf(raw: JsonObject): EngineVersion {
  const version = textOf(raw['Version'])
  const newest = minorOf(raw['ApiVersion'])
  if (newest === null) throw new Error('the answer to GET /version names no ApiVersion')
  const oldest = minorOf(raw['MinAPIVersion']) ?? 0
  if (newest < oldestKnown) {
    throw new UserError(
      `Docker Engine ${version} speaks API 1.${newest}; tidewatch needs 1.${oldestKnown} or newer`,
    )
  }
  if (oldest > newestKnown) {
    throw new UserError(
      `Docker Engine ${version} wants API 1.${oldest} or newer; tidewatch knows 1.${newestKnown}`,
    )
  }
  return { version, apiVersion: `1.${Math.min(newest, newestKnown)}`, raw }
}

// Docker 1.12 is the first with health checks; Docker 29 the newest that the answers were compared with.
const oldestKnown = 24
const newestKnown = 52

function minorOf(value: unknown): number | null {
  const minor = /^1\.(\d{1,4})$/.exec(textOf(value))?.[1]
  return minor === undefined ? null : Number(minor)
}
