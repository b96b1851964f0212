import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test from 'ava'
import { configuration } from '../../agent/daemon/configuration.ts'
import { generatedPages } from '../../docs/pages.ts'

const root = join(import.meta.dirname, '../..')
const readme = read('README.md')

for (const [name, text] of Object.entries(generatedPages())) {
  test(`docs/${name} is up to date with the code`, (t) => {
    t.true(read(`docs/${name}`) === text, 'run npm run generate')
  })
}

test('the README has at most 1,500 words', (t) => {
  t.true(readme.split(/\s+/).length <= 1_500)
})

test('the configuration in the README is valid', (t) => {
  const yaml = /```yaml\n(.*?)```/s.exec(readme)?.[1] ?? ''
  t.true('config' in configuration.parse(yaml), JSON.stringify(configuration.parse(yaml)))
})

test('the index links to every page', (t) => {
  const index = read('docs/README.md')
  const pages = readdirSync(join(root, 'docs')).filter(
    (name) => /\.(?:md|yml|json)$/.test(name) && name !== 'README.md',
  )
  t.deepEqual(
    pages.filter((name) => !index.includes(`](${name})`)),
    [],
  )
})

test('links between pages point to existing files and headings', (t) => {
  const pages = globSync(['*.md', 'docs/**/*.md'], { cwd: root })
  const broken = pages.flatMap((page) =>
    [...read(page).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)].flatMap(
      ([link, path = '', heading]) => {
        const target = path === '' ? page : join(dirname(page), path)
        if (!existsSync(join(root, target))) return `${page}: ${link}`
        return heading === undefined || headingsOf(target).includes(heading) ? [] : `${page}: ${link}`
      },
    ),
  )
  t.deepEqual(broken, [])
})

/** The anchors that GitHub generates for the headings of a page. */
function headingsOf(page: string): string[] {
  return [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, text = '']) =>
    text
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8')
}
