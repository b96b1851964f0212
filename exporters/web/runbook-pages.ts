import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode } from '../../agent/lib/errors.ts'
import { html, type Html } from './html.ts'
import { style } from './status-style.ts'

/** The runbooks as pages of the daemon's own web server: an alert links to them unless another place is configured. */
export type RunbookPages = {
  /** A list of all pages. */
  index(): Promise<string>
  /** The page of an alert; null when there is none. */
  page(alertName: string): Promise<string | null>
}

// The bundle has them beside it, a checkout in its documentation.
const installed = [join(import.meta.dirname, 'runbooks'), join(import.meta.dirname, '../../docs/runbooks')]

/** Reads a page when it is requested: an alert may be days away. */
export function runbookPages(directories: readonly string[] = installed): RunbookPages {
  return {
    async index() {
      const names = (await firstOf(directories, (directory) => readdir(directory))) ?? []
      const pages = names.flatMap((name) => (name.endsWith('.md') ? name.slice(0, -3) : [])).toSorted()
      const items = pages.map((name) => html`<li><a href="/runbooks/${name}">${name}</a></li>`)
      return document(
        'Runbooks',
        html`<h1>Runbooks</h1>
          <ul>
            ${items}
          </ul>`,
      )
    },
    async page(alertName) {
      if (!/^Tidewatch[A-Za-z]+$/.test(alertName)) return null
      const text = await firstOf(directories, (directory) =>
        readFile(join(directory, `${alertName}.md`), 'utf8'),
      )
      if (text === null) return null
      // Loaded for the first page only: most daemons never render one.
      const { marked } = await import('marked')
      return document(alertName, { markup: await marked.parse(text) })
    },
  }
}

function document(title: string, content: Html): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        ${{ markup: `<style>${style}</style>` }}
      </head>
      <body>
        <main class="text">${content}</main>
        <footer><a href="/">status</a> · <a href="/runbooks">all runbooks</a></footer>
      </body>
    </html> `.markup
}

/** What the first directory that exists has; null when none has it. */
async function firstOf<T>(
  directories: readonly string[],
  read: (directory: string) => Promise<T>,
): Promise<T | null> {
  for (const directory of directories) {
    try {
      return await read(directory)
    } catch (error) {
      if (!['ENOENT', 'ENOTDIR'].includes(errorCode(error))) throw error
    }
  }
  return null
}
