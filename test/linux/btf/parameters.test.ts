import test from 'ava'
import { parametersOf } from '../../../agent/linux/btf/parameters.ts'
import { readTypeRecords } from '../../../agent/linux/btf/type-records.ts'
import { btfFile, FUNCTION_PROTOTYPE, INT, nameIn, POINTER, STRUCT, TYPEDEF } from './btf-file.ts'

test('the parameters of a tracepoint are found through the typedef of its function', (t) => {
  const names = '\0int\0task_struct\0of_task\0of_pid\0plain\0pid_t\0'
  const name = nameIn(names)
  const types = readTypeRecords(
    btfFile(
      [
        [name('int'), INT, 4, 32],
        [name('task_struct'), STRUCT, 8],
        [0, POINTER, 2],
        [0, POINTER, 0],
        [name('pid_t'), TYPEDEF, 1],
        [0, FUNCTION_PROTOTYPE | 3, 0, 0, 4, 0, 3, 0, 5],
        [0, POINTER, 6],
        [name('of_task'), TYPEDEF, 7],
        [0, FUNCTION_PROTOTYPE | 2, 0, 0, 4, 0, 1],
        [0, POINTER, 9],
        [name('of_pid'), TYPEDEF, 10],
        [name('plain'), TYPEDEF, 1],
      ],
      names,
    ),
  )
  const context = { kind: 'pointer', to: '' }
  const int = { kind: 'int', bytes: 4 }
  t.deepEqual(parametersOf(types, 'of_task'), [context, { kind: 'pointer', to: 'task_struct' }, int])
  t.deepEqual(parametersOf(types, 'of_pid'), [context, int])
  t.is(parametersOf(types, 'plain'), null)
  t.is(parametersOf(types, 'none'), null)
})
