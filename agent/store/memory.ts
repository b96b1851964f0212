import type { Memory } from '../model/detector.ts'
import type { Store } from './store.ts'

/** A detector's namespace in the store's state. */
export function memoryOf(
  store: Pick<Store, 'getState' | 'setState' | 'deleteState' | 'stateKeys'>,
  detector: string,
): Memory {
  const space = `${detector}/`
  return {
    get: (key) => store.getState(space + key),
    set: (key, value) => store.setState(space + key, value),
    delete: (key) => store.deleteState(space + key),
    keys: (prefix) => store.stateKeys(space + prefix).map((key) => key.slice(space.length)),
  }
}
