import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')
const reference = readFileSync(join(root, 'docs/tidewatch.reference.yml'), 'utf8')
  .split('\n')
  .filter((line) => !/^\s*#/.test(line))
  .join('\n')

const written = `policy:
  allow:
    - reason: nightly dump
      when: |
        rule == "exec-command" && container.image.startsWith("postgres:") &&
          evidence.argv[0] == "pg_dump"
      until: 2030-12-31
    - { reason: debug, when: 'evidence.argv.exists(a, a.matches("^--debug(=.*)?$"))' }
  trust_labels: true
  redact: ["ACME-[0-9]{4}", "pin=(\\\\d+)"]
  throttle: { fold: 1m, per_container: 10, per_rule: 100 }
detectors:
  resource-limit-breach:
    memory: &m { ratio: 0.9, resolve_ratio: 0.8 }
    overrides:
      - { match: { image: "postgres:*" }, memory: { ratio: 0.97 } }
      - { match: { label: "team=db" }, enabled: false, memory: *m }
alertmanagers: [{ url: "http://127.0.0.1:9093", min_severity: info }]
`

const words =
  `: - # | > & * ! ? { } [ ] , " ' \\ \n \t 0 -1 1e999 .inf null ~ true yes {} [] 9007199254740993 5m 0s 2026-13-01
  rule evidence.x exists(a, all(a, matches("(a+)+$") && || == ( ) "x" __proto__ constructor toString <<: *m &m !!binary
  !!js/function %YAML --- ... 💥 \u0000 \uFEFF \u2028`.split(/[ ]+/)

/** A randomly damaged configuration; the same seed gives the same one. */
export function mutated(seed: number): string {
  const random = randomOf(seed)
  let text = random(2) === 0 ? written : reference
  for (let change = random(4) + 1; change > 0; change -= 1)
    text = change % 5 === 0 ? text : mutate(text, random)
  return text
}

function mutate(text: string, random: (below: number) => number): string {
  const at = random(text.length + 1)
  const to = Math.min(text.length, at + random(40))
  const word = words[random(words.length)] ?? ''
  switch (random(7)) {
    case 0:
      return text.slice(0, at) + word + text.slice(at)
    case 1:
      return text.slice(0, at) + text.slice(to)
    case 2:
      return text.slice(0, at) + word + text.slice(to)
    case 3:
      return text.slice(0, to) + text.slice(at)
    case 4:
      return text.slice(0, at)
    case 5:
      return text.slice(0, at) + String.fromCharCode(random(0x10000)) + text.slice(at + 1)
    default: {
      const lines = text.split('\n')
      const [line = ''] = lines.splice(random(lines.length), 1)
      lines.splice(random(lines.length), 0, line)
      return lines.join('\n')
    }
  }
}

/** xorshift32: a deterministic random number generator. */
function randomOf(seed: number): (below: number) => number {
  let state = (seed * 2_654_435_761 + 1) >>> 0 || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state % below
  }
}
