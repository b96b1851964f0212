import type { BootClock } from '../../linux/boot-clock.ts'
import type { ContainerView } from '../../model/container.ts'
import type { ProcessTable } from '../processes/table/table.ts'
import type { OpenSensors } from './sensors.ts'

export type BreakoutFilesOptions = {
  table: ProcessTable
  /** Takes into the table what the kernel has told already; true when there is more. */
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

/** Where things are, and how they are looked at. */
export type Surroundings = Required<BreakoutFilesOptions>
