import type { Detector } from '../agent/model/detector.ts'
import { execIntoContainer } from './exec-into-container.ts'
import { monitorIntegrity } from './monitor-integrity.ts'
import { resourceLimitBreach } from './resource-limit-breach.ts'
import { runtimePathWrite } from './runtime-path-write.ts'
import { unexpectedRootProcess } from './unexpected-root-process.ts'

/** Every detector there is; each stands here once and nowhere else. */
export const detectors: readonly Detector[] = [
  execIntoContainer,
  unexpectedRootProcess,
  runtimePathWrite,
  resourceLimitBreach,
  monitorIntegrity,
]
