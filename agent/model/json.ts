import type { Json } from './finding.ts'

type JsonObject = { readonly [key: string]: Json }

/** Whether it is a list: `Array.isArray` does not know that one may be read-only. */
export function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value)
}

/** Each item as `work` makes it. What it leaves as it is, and that is most, is not copied: findings come in bursts. */
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

/** Each field as `work` makes it, likewise. */
export function mapFields(object: JsonObject, work: (key: string, value: Json) => Json): JsonObject {
  let changed: Record<string, Json> | undefined
  for (const key of Object.keys(object)) {
    const value = work(key, object[key])
    if (value === object[key]) continue
    // A field that is called __proto__ is the copy's own by then, and stays one.
    changed ??= { ...object }
    changed[key] = value
  }
  return changed ?? object
}

/** Without the fields that are null, however deep they stand in other fields. */
export function withoutNulls(object: JsonObject): JsonObject {
  const keys = Object.keys(object)
  const kept = keys.some((key) => object[key] === null)
    ? Object.fromEntries(keys.filter((key) => object[key] !== null).map((key) => [key, object[key]]))
    : object
  return mapFields(kept, (_key, value) =>
    typeof value === 'object' && value !== null && !isList(value) ? withoutNulls(value) : value,
  )
}
