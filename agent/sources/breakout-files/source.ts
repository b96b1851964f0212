/**
 * Watches the files that let a container escape, or let root on the host make the kernel run a program, and
 * identifies the processes that change them.
 *
 * Reading order: `sysctls.ts` (the sysctls that name a program), `sysctl-writes/` (eBPF reports writes to them),
 * `group-reader.ts` and `file-activity-watch.ts` (fanotify reports writes to files), `sensors.ts` (which of the two
 * are available), `file-readers.ts` and `value.ts` (reading the files), `hierarchies.ts`, `holders.ts` and
 * `hierarchy-watch.ts` (new cgroup hierarchies), `ledger.ts` (groups events into operations), `actors.ts` (identifies
 * the process), `reporter.ts` (emits observations), `monitor.ts` (combines all of them).
 */
import { Observable } from 'rxjs'
import { bootClock } from '../../linux/boot-clock.ts'
import type { Observation } from '../../model/observation.ts'
import type { Source } from '../../model/source.ts'
import { monitor } from './monitor.ts'
import { type BreakoutFilesOptions, type SourceContext } from './source-context.ts'

/** The source of operations on breakout files. */
export function breakoutFiles(options: BreakoutFilesOptions): Source {
  return {
    name: 'breakout-files',
    observe: () =>
      new Observable<Observation>((subscriber) => {
        const context: SourceContext = {
          procRoot: '/proc',
          cgroupRoot: '/sys/fs/cgroup',
          preload: '/etc/ld.so.preload',
          ueventHelper: '/sys/kernel/uevent_helper',
          clock: bootClock(),
          sensors: {},
          ...options,
        }
        return monitor(
          context,
          (observation) => subscriber.next(observation),
          (error) => subscriber.error(error),
        )
      }),
  }
}
