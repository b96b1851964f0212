import type { Container } from '../model/container.ts'
import { clip, printable } from '../lib/text.ts'
import type { LoadedConfig } from './load.ts'
import { isMatch } from './match.ts'
import type { Path } from './yaml-positions.ts'
import type { Schema } from './reference.ts'
import { detectorConfig } from './schema.ts'

/** One setting that applies to a container: its key, its value in YAML, and where the value comes from. */
export type AppliedSetting = { key: string; value: string; from: string }

/** The settings that apply to a container, each with the line of the file it comes from. */
export function explain(
  loaded: LoadedConfig,
  file: string,
  container: Container,
  { schema: whole, allowLabel }: { schema: Schema; allowLabel: string },
): AppliedSetting[] {
  const { detectors: ofDetectors } = whole.properties ?? {}
  const { config, written } = loaded
  const placeOf = (path: Path) => {
    const found = written(path)
    return found === null ? null : { value: inYaml(found.value), from: `${file}:${found.line}` }
  }

  function ofDetector(name: string): AppliedSetting[] {
    const { overrides } = detectorConfig(config, name)
    const index = overrides.findIndex(({ match }) => isMatch(match, container))
    const own = ['detectors', name]
    const paths = index === -1 ? [own] : [[...own, 'overrides', index], own]
    const chosen = index === -1 ? null : placeOf([...own, 'overrides', index, 'match'])
    return [
      ...(chosen === null ? [] : [{ key: `${name}: override ${index + 1}`, ...chosen }]),
      ...leaves(ofDetectors?.properties?.[name], [], paths, name),
    ]
  }

  function leaves(
    schema: Schema | undefined,
    path: string[],
    roots: readonly Path[],
    name: string,
  ): AppliedSetting[] {
    return Object.entries(schema?.properties ?? {}).flatMap(([key, inner]) => {
      if (path.length === 0 && key === 'overrides') return []
      const at = [...path, key]
      if (inner.properties !== undefined) return leaves(inner, at, roots, name)
      const place = roots.map((root) => placeOf([...root, ...at])).find((found) => found !== null)
      const { value, from } = place ?? { value: inYaml(inner.default), from: 'default' }
      return [{ key: `${name}: ${at.join('.')}`, value, from }]
    })
  }

  return [
    ...Object.keys(ofDetectors?.properties ?? {}).flatMap(ofDetector),
    ...ofPolicy(loaded, file, container, { schema: whole, allowLabel }),
  ]
}

function ofPolicy(
  { config: { policy }, written }: LoadedConfig,
  file: string,
  { labels }: Container,
  { schema: whole, allowLabel }: { schema: Schema; allowLabel: string },
): AppliedSetting[] {
  const from = (path: Path) => {
    const found = written(['policy', ...path])
    return found === null ? 'default' : `${file}:${found.line}`
  }
  const trusted = Object.entries(labels).filter(([key]) => key.startsWith(allowLabel))
  return [
    ...policy.allow.map(({ reason, when, until }, index) => ({
      key: `policy: allow[${index}]`,
      value: `${when.trim().replace(/\s+/g, ' ')}  (${reason}${until === undefined ? '' : `; until ${new Date(until).toISOString()}`})`,
      from: from(['allow', index]),
    })),
    { key: 'policy: trust_labels', value: inYaml(policy.trust_labels), from: from(['trust_labels']) },
    ...trusted.map(([key, reason]) => ({
      key: `label ${printable(clip(key, 100))}`,
      value: printable(clip(reason, 200)),
      from: policy.trust_labels ? 'container' : 'container (labels are not trusted)',
    })),
    ...Object.entries(whole.properties?.['policy']?.properties?.['throttle']?.properties ?? {}).map(
      ([key, schema]) => ({
        key: `policy: throttle.${key}`,
        value: inYaml(written(['policy', 'throttle', key])?.value ?? schema.default),
        from: from(['throttle', key]),
      }),
    ),
  ]
}

/** JSON is valid YAML and fits on one line; simple words need no quotes. */
function inYaml(value: unknown): string {
  return typeof value === 'string' && /^[\w.:*/-]+$/.test(value) ? value : JSON.stringify(value)
}
