/**
 * Settings that always return the current values: code that reads a key when it needs it sees a reload or a
 * container's override.
 */
export function live<Settings extends object>(now: () => Settings): Settings {
  return new Proxy({} as Settings, {
    get: (_, key) => Reflect.get(now(), key) as unknown,
    has: (_, key) => Reflect.has(now(), key),
    ownKeys: () => Reflect.ownKeys(now()),
    getOwnPropertyDescriptor: (_, key) => ({
      configurable: true,
      enumerable: true,
      value: Reflect.get(now(), key) as unknown,
    }),
  })
}
