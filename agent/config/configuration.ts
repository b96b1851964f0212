import type { Container } from '../model/container.ts'
import type { Detector } from '../model/detector.ts'
import { sectionSchemasOf } from './detectors-schema.ts'
import { type Applies, explain } from './explain.ts'
import { loadConfig, type LoadedConfig, parseConfig, type ParsedConfig } from './load.ts'
import { type ParsedValue, parseValue } from './parse.ts'
import type { PolicyLanguage } from './policy-schema.ts'
import { configJsonSchema, referenceYaml, type Schema } from './reference.ts'
import { type Config, type ConfigSchema, configSchemaOf } from './schema.ts'

/** What differs with what is built in: the configuration itself knows no detector and no expression language. */
export type ConfigurationParts = {
  detectors: readonly Detector[]
  language: PolicyLanguage
  /** How labels of containers begin that allow a rule. */
  allowLabel: string
}

/** The configuration file: what may be written there, and what a file says. */
export type Configuration = {
  schema: ConfigSchema
  /** The schema for editors. */
  jsonSchema(): Schema
  /** Every key with its default, its unit and a sentence, as a configuration that means the defaults. */
  referenceYaml(): string
  /** The configuration that a daemon without a file has. */
  defaults(): Config
  /** Validates the value of a configuration file, and works out what its overrides come to. */
  parseValue(value: unknown): ParsedValue
  /** Parses and validates a file's text; never throws, whatever the text is. */
  parse(text: string): ParsedConfig
  /** Reads a file; throws one `UserError` that lists everything wrong with it. */
  load(file: string): LoadedConfig
  /** Everything that applies to a container, and from which line of the file it does. */
  explain(loaded: LoadedConfig, file: string, container: Container): Applies[]
}

/** Makes the configuration of these detectors. */
export function createConfiguration({ detectors, language, allowLabel }: ConfigurationParts): Configuration {
  const sections = sectionSchemasOf(detectors)
  const schema = configSchemaOf(sections, language)
  const jsonSchema = () => configJsonSchema(schema)
  const parse = (value: unknown) => parseValue(value, { schema, sections })
  return {
    schema,
    jsonSchema,
    referenceYaml: () => referenceYaml(jsonSchema()),
    defaults() {
      const parsed = parse({})
      if ('config' in parsed) return parsed.config
      throw new Error('the defaults are not valid')
    },
    parseValue: parse,
    parse: (text) => parseConfig(text, parse),
    load: (file) => loadConfig(file, parse),
    explain: (loaded, file, container) =>
      explain(loaded, file, container, { schema: jsonSchema(), allowLabel }),
  }
}
