/**
 * The files by which one gets out of a container, or a root of the host makes the kernel run something: who sets what.
 *
 * To be read in this order: `sysctls.ts` (what the kernel runs), `sysctl-program.ts`, `sysctl-record.ts` and
 * `sysctl-watch.ts` (how it tells who writes that), `group-reader.ts` and `touch-watch.ts` (how fanotify tells who writes
 * files), `sensors.ts` (which of the two can be had), `looks.ts` and `value.ts` (what everything holds), `hierarchies.ts`,
 * `holders.ts` and `hierarchy-watch.ts` (new hierarchies of cgroups), `ledger.ts` (what is one act), `doers.ts` (who it
 * was), `telling.ts` (what is told of it), `watching.ts` (all of it together).
 */
import { Observable } from 'rxjs'
import { bootClock } from '../../linux/boot-clock.ts'
import type { Observation } from '../../model/observation.ts'
import type { Source } from '../../model/source.ts'
import { watching } from './monitor.ts'
import { type BreakoutFilesOptions, type Surroundings } from './context.ts'

/** The source of what is done to breakout files. */
export function breakoutFiles(options: BreakoutFilesOptions): Source {
  return {
    name: 'breakout-files',
    observe: () =>
      new Observable<Observation>((subscriber) => {
        const surroundings: Surroundings = {
          procRoot: '/proc',
          cgroupRoot: '/sys/fs/cgroup',
          preload: '/etc/ld.so.preload',
          ueventHelper: '/sys/kernel/uevent_helper',
          clock: bootClock(),
          sensors: {},
          ...options,
        }
        return watching(
          surroundings,
          (observation) => subscriber.next(observation),
          (error) => subscriber.error(error),
        )
      }),
  }
}
