import type { Container } from '../model/container.ts'
import type { Detector } from '../model/detector.ts'
import { sectionSchemasOf } from './detectors-schema.ts'
import { type AppliedSetting, explain } from './explain.ts'
import { loadConfig, type LoadedConfig, parseConfig, type ParsedConfig } from './load.ts'
import { type ParsedValue, parseValue } from './parse.ts'
import type { PolicyLanguage } from './policy-schema.ts'
import { configJsonSchema, referenceYaml, type Schema } from './reference.ts'
import { type Config, type ConfigSchema, configSchemaOf } from './schema.ts'

/** What is plugged in: the configuration itself knows no detector and no expression language. */
export type ConfigurationOptions = {
  detectors: readonly Detector[]
  language: PolicyLanguage
  /** Prefix of the container labels that allow a rule. */
  allowLabel: string
}

/** The configuration: its schema, and how files are read. */
export type Configuration = {
  schema: ConfigSchema
  /** JSON Schema for editors. */
  jsonSchema(): Schema
  /** Every key with its default, unit and description, as a configuration file equal to the defaults. */
  referenceYaml(): string
  /** The configuration of a daemon without a file. */
  defaults(): Config
  /** Validates the content of a configuration file and resolves its overrides. */
  parseValue(value: unknown): ParsedValue
  /** Parses and validates a file's text; never throws, whatever the text is. */
  parse(text: string): ParsedConfig
  /** Reads a file; throws one `UserError` that lists all errors. */
  load(file: string): LoadedConfig
  /** The settings that apply to a container, each with the line of the file it comes from. */
  explain(loaded: LoadedConfig, file: string, container: Container): AppliedSetting[]
}

/** Creates the configuration for these detectors. */
export function createConfiguration({
  detectors,
  language,
  allowLabel,
}: ConfigurationOptions): Configuration {
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
