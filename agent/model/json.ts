import type { Json } from './finding.ts'

type JsonObject = { readonly [key: string]: Json }

/** Whether a value is a list: the type of `Array.isArray` does not cover read-only lists. */
export function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value)
}

/** Maps each item with `work`. An unchanged list, the common case, is not copied, because findings come in bursts. */
export function mapItems<Item>(list: readonly Item[], work: (item: Item) => Item): readonly Item[] {
  let changed: Item[] | undefined
  for (const [index, before] of list.entries()) {
    const item = work(before)
    if (item === before) continue
    changed ??= [...list]
    changed[index] = item
  }
  return changed ?? list
}

/** Maps each field with `work`, in the same way. */
export function mapFields(object: JsonObject, work: (key: string, value: Json) => Json): JsonObject {
  let changed: Record<string, Json> | undefined
  for (const key of Object.keys(object)) {
    const value = work(key, object[key])
    if (value === object[key]) continue
    // In the copy a field named __proto__ is an own field, so it stays one.
    changed ??= { ...object }
    changed[key] = value
  }
  return changed ?? object
}

/** Without null fields, at any depth. */
export function withoutNulls(object: JsonObject): JsonObject {
  const keys = Object.keys(object)
  const kept = keys.some((key) => object[key] === null)
    ? Object.fromEntries(keys.filter((key) => object[key] !== null).map((key) => [key, object[key]]))
    : object
  return mapFields(kept, (_key, value) =>
    typeof value === 'object' && value !== null && !isList(value) ? withoutNulls(value) : value,
  )
}
