import { rm } from 'node:fs/promises'
import { start, whenReady } from './processes.ts'
import { temporaryDirectory } from './temporary-directory.ts'

type Message = {
  id?: number
  method?: string
  params?: unknown
  result?: unknown
  error?: { message: string }
}

/** An event of the browser: a request, a console message, a policy violation. */
export type BrowserEvent = { method: string; params: Record<string, unknown> }

/** One page of a real Chromium (Debian's), controlled through its DevTools protocol. */
export type Page = {
  send: <T = unknown>(method: string, params?: object) => Promise<T>
  /** Evaluates JavaScript in the page, like the console; works even if the page may not run scripts. */
  evaluate: <T>(expression: string) => Promise<T>
  /** All events so far. */
  events: () => readonly BrowserEvent[]
  close: () => Promise<void>
}

// Not Debian's wrapper script in /usr/bin, which would exit without stopping the browser.
const program = '/usr/lib/chromium/chromium-headless-shell'

/** Starts a Chromium with one empty page and a temporary profile. */
export async function openPage(): Promise<Page> {
  await using opening = new AsyncDisposableStack()
  const profile = await temporaryDirectory()
  opening.defer(() => rm(profile, { recursive: true, force: true, maxRetries: 5 }))
  const browser = start(program, [
    // Chromium's sandbox does not work as root; the browser only opens pages of the test.
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--remote-debugging-port=0',
    `--user-data-dir=${profile}`,
    'about:blank',
  ])
  opening.defer(async () => void (await browser.stop()))
  const address = await whenReady(
    browser,
    () => /DevTools listening on (ws:\S+)/.exec(browser.output())?.[1],
    60_000,
  )
  const targets = `http://${new URL(address).host}/json/list`
  const url = await whenReady(browser, async () => {
    const all = (await (await fetch(targets)).json()) as { type: string; webSocketDebuggerUrl: string }[]
    return all.find(({ type }) => type === 'page')?.webSocketDebuggerUrl
  })
  const talk = await converse(url)
  opening.defer(talk.hangUp)
  const resources = opening.move()
  return {
    ...talk,
    evaluate: async <T>(expression: string) => {
      const { result } = await talk.send<{ result: { value: T } }>('Runtime.evaluate', {
        expression,
        returnByValue: true,
      })
      return result.value
    },
    close: () => resources.disposeAsync(),
  }
}

async function converse(url: string): Promise<Pick<Page, 'send' | 'events'> & { hangUp: () => void }> {
  const socket = new WebSocket(url)
  const waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>()
  const events: BrowserEvent[] = []
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve)
    socket.addEventListener('error', () => reject(new Error(`cannot connect to ${url}`)))
  })
  socket.addEventListener('message', ({ data }) => {
    const { id, method, params, result, error } = JSON.parse(String(data)) as Message
    if (method !== undefined) events.push({ method, params: (params ?? {}) as Record<string, unknown> })
    const asked = waiting.get(id ?? -1)
    waiting.delete(id ?? -1)
    if (error === undefined) asked?.resolve(result)
    else asked?.reject(new Error(error.message))
  })
  socket.addEventListener('close', () => {
    for (const { reject } of waiting.values()) reject(new Error('the browser has exited'))
  })
  let last = 0
  return {
    events: () => events,
    hangUp: () => socket.close(),
    send: <T>(method: string, params: object = {}) =>
      new Promise<T>((resolve, reject) => {
        last += 1
        waiting.set(last, { resolve: resolve as (result: unknown) => void, reject })
        socket.send(JSON.stringify({ id: last, method, params }))
      }),
  }
}
