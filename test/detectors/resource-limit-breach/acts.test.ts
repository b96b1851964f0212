import test from 'ava'
import type { Detection } from '../../../agent/model/finding.ts'
import type { OomVictim } from '../../../agent/model/observation.ts'
import { judgeForks, noForks } from '../../../detectors/resource-limit-breach/forks.ts'
import { died, type Kills, survived } from '../../../detectors/resource-limit-breach/oom/report.ts'
import { victims } from '../../../detectors/resource-limit-breach/oom/victims.ts'
import { container, sample } from '../../sources/resources/samples.ts'
import { actOf } from '../../support/acts.ts'
import { sampleProcess } from '../../support/samples.ts'

const web = container()

const victim = (exe: string, argv: string[]): OomVictim => ({
  ...{ kind: 'oom-victim', time: 5, container: web, isInit: false, isGroup: false, execId: '' },
  process: { pid: 7, startTicks: 1, exe, argv },
})

function killAct({ exe = '/bin/eat', argv = ['eat', '1'], limitBytes = 1_000, eventKey = 'a' } = {}): string {
  const memory = { ...sample(0).memory, limitBytes }
  const kills: Kills = {
    ...{ time: 1, container: web, count: 1, reportedBy: 'kernel', eventKey, memory },
    victims: [victim(exe, argv)],
  }
  return actOf(victims().name(survived(kills)))
}

test('OOM kills differ by program and limit; the same program with other arguments is a repeat', (t) => {
  const first = killAct()
  const acts = [first, killAct({ exe: '/bin/other' }), killAct({ limitBytes: 2_000 })]
  t.is(new Set(acts).size, 3)
  t.is(killAct({ argv: ['eat', '2'], eventKey: 'b' }), first)
})

test('deaths differ by the first process and the limit', (t) => {
  const death = (exe: string, limitBytes: number) => {
    const known = victims()
    known.sawProcess(sampleProcess({ container: web, process: { pid: web.details?.pid ?? 0, exe } }))
    const memory = { ...sample(0).memory, limitBytes }
    return actOf(
      known.name(died({ time: 1, container: web, reportedBy: 'kernel', memory }, { time: 2, exitCode: 137 })),
    )
  }
  t.is(new Set([death('/a', 1), death('/b', 1), death('/a', 2)]).size, 3)
  t.is(death('/a', 1), death('/a', 1))
})

test('a fork bomb again at the same limit is a repeat, at another limit it is not', (t) => {
  const burst = (limit: number): Detection[] => {
    const step = judgeForks({ processes: 10, within: 10_000 })
    const [started] = step(noForks, sample(0, { pids: { current: 1, limit } }))
    return [...step(started, sample(1_000, { pids: { current: limit, limit, refusedForks: 5 } }))[1]]
  }
  t.deepEqual(burst(50).map(actOf), burst(50).map(actOf))
  t.notDeepEqual(burst(50).map(actOf), burst(60).map(actOf))
})
