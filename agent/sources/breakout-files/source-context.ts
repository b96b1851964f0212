import type { BootClock } from '../../linux/boot-clock.ts'
import type { ContainerView } from '../../model/container.ts'
import type { ProcessTable } from '../processes/table/table.ts'
import type { OpenSensors } from './sensors.ts'

export type BreakoutFilesOptions = {
  table: ProcessTable
  /** Applies the pending kernel events to the process table; true when more remain. */
  isBehind: () => boolean
  containers: ContainerView
  /** Epoch milliseconds. */
  now: () => number
  procRoot?: string
  cgroupRoot?: string
  preload?: string
  ueventHelper?: string
  clock?: BootClock
  sensors?: OpenSensors
}

/** The options with all defaults filled in. */
export type SourceContext = Required<BreakoutFilesOptions>
