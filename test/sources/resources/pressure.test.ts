import test from 'ava'
import { stall } from '../../../agent/sources/resources/pressure.ts'

const psi =
  'some avg10=1.00 avg60=0.50 avg300=0.10 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n'

test('totals are read from microseconds', (t) => {
  const read = (name: string) => (name === 'memory.pressure' ? psi : null)
  t.deepEqual(stall(read, 'memory'), { someSeconds: 2.5, fullSeconds: 0.5 })
  t.is(stall(read, 'io'), null)
})

test('an older kernel does not report how long all processes waited for the CPU', (t) => {
  const cpu = stall(() => 'some avg10=0.00 avg60=0.00 avg300=0.00 total=7000000\n', 'cpu')
  t.deepEqual(cpu, { someSeconds: 7, fullSeconds: null })
})

test('a truncated or malformed file is an error that names it', (t) => {
  for (const text of [
    '',
    'some avg10=0.00 avg60=0.0',
    'full avg10=0.00 total=1\n',
    'some total=-1\n',
    'some avg10=1\nfull total=1\n',
  ]) {
    t.throws(() => stall(() => text, 'io'), {
      message: 'io.pressure has no "some" total',
    })
  }
})
