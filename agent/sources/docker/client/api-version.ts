import { UserError } from '../../../lib/errors.ts'
import { type JsonObject, textOf } from '../../../lib/json-object.ts'

/** The response to `GET /version`, and the API version that all later calls are pinned to. */
export type EngineVersion = {
  /** Of the engine, such as `20.10.24+dfsg1`. */
  version: string
  /** Such as `1.41`: the newest version that both the engine and tidewatch support. */
  apiVersion: string
  /** The whole response, with the versions of containerd and runc. */
  raw: JsonObject
}

/** Picks the API version: an unpinned call gets the engine's newest, whose responses may have a different shape. */
export function engineVersionOf(raw: JsonObject): EngineVersion {
  const version = textOf(raw['Version'])
  const newest = minorOf(raw['ApiVersion'])
  if (newest === null) throw new Error('the response to GET /version has no ApiVersion')
  const oldest = minorOf(raw['MinAPIVersion']) ?? 0
  if (newest < oldestSupported) {
    throw new UserError(
      `Docker Engine ${version} supports API 1.${newest}; tidewatch requires 1.${oldestSupported} or newer`,
    )
  }
  if (oldest > newestSupported) {
    throw new UserError(
      `Docker Engine ${version} requires API 1.${oldest} or newer; tidewatch supports up to 1.${newestSupported}`,
    )
  }
  return { version, apiVersion: `1.${Math.min(newest, newestSupported)}`, raw }
}

// Docker 1.12 is the first release with health checks; Docker 29 is the newest whose responses were checked.
const oldestSupported = 24
const newestSupported = 52

function minorOf(value: unknown): number | null {
  const minor = /^1\.(\d{1,4})$/.exec(textOf(value))?.[1]
  return minor === undefined ? null : Number(minor)
}
