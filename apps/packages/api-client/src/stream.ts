// A live stream that heals itself: reconnects with back-off, resumes by Last-Event-ID, and says when it is stale.
import { EventParser, type StreamEvent } from './events'
import { Problem, problemOf } from './problem'

/** `stale`: connected, but silent for two heartbeats. `offline`: not connected, trying again. */
export type StreamState = 'connecting' | 'live' | 'stale' | 'offline'

export interface StreamOptions {
  url: string
  onEvent: (event: StreamEvent) => void
  /** Connected, also anew: what has no ids must be fetched again. `serverDate` is the answer's Date header. */
  onOpen?: (serverDate: string | null) => void
  onState: (state: StreamState) => void
  /** The server refused for good (no session, no right); the stream has stopped. */
  onRefused?: (problem: Problem) => void
  fetch?: typeof fetch
}

export const STALE_AFTER_MS = 10_000
const DEAD_AFTER_MS = 20_000
const BACKOFF_MS_MIN = 500
const BACKOFF_MS_MAX = 10_000

export class EventStream {
  readonly #options: StreamOptions
  #abort: AbortController | null = null
  #lastId = ''
  #failures = 0
  #state: StreamState = 'connecting'
  #silence: ReturnType<typeof setTimeout> | undefined
  #retry: ReturnType<typeof setTimeout> | undefined
  #stopped = true

  constructor(options: StreamOptions) {
    this.#options = options
  }

  get lastId(): string {
    return this.#lastId
  }

  start(): void {
    if (!this.#stopped) return
    this.#stopped = false
    globalThis.addEventListener?.('online', this.#now)
    this.#tell('connecting')
    void this.#connect()
  }

  stop(): void {
    this.#stopped = true
    globalThis.removeEventListener?.('online', this.#now)
    clearTimeout(this.#silence)
    clearTimeout(this.#retry)
    this.#abort?.abort()
  }

  /** The network came back: do not wait for the back-off. */
  readonly #now = (): void => {
    if (this.#state !== 'offline') return
    clearTimeout(this.#retry)
    void this.#connect()
  }

  async #connect(): Promise<void> {
    const abort = new AbortController()
    this.#abort?.abort()
    this.#abort = abort
    this.#listen(abort)
    try {
      const response = await (this.#options.fetch ?? fetch)(this.#options.url, {
        headers: { Accept: 'text/event-stream', ...(this.#lastId ? { 'Last-Event-ID': this.#lastId } : {}) },
        credentials: 'same-origin',
        cache: 'no-store',
        signal: abort.signal,
      })
      if (!response.ok || response.body === null) {
        await this.#refused(response, abort)
        return
      }
      this.#options.onOpen?.(response.headers.get('date'))
      await this.#read(response.body, abort)
      this.#again(abort)
    } catch {
      this.#again(abort)
    }
  }

  async #read(body: ReadableStream<Uint8Array>, abort: AbortController): Promise<void> {
    const reader = body.getReader()
    const decoder = new TextDecoder()
    const parser = new EventParser()
    for (;;) {
      const { done, value } = await reader.read()
      if (done || abort.signal.aborted) return
      this.#listen(abort)
      this.#failures = 0
      this.#tell('live')
      for (const event of parser.push(decoder.decode(value, { stream: true }))) {
        if (event.id !== '') this.#lastId = event.id
        this.#options.onEvent(event)
      }
    }
  }

  async #refused(response: Response, abort: AbortController): Promise<void> {
    const problem = problemOf(response, await response.json().catch(() => null))
    if (problem.isPassing) {
      this.#again(abort, problem.retryAfterS)
      return
    }
    this.stop()
    this.#tell('offline')
    this.#options.onRefused?.(problem)
  }

  /** Watch for silence from now on. */
  #listen(abort: AbortController): void {
    clearTimeout(this.#silence)
    this.#silence = setTimeout(() => {
      if (this.#state === 'live') this.#tell('stale')
      this.#silence = setTimeout(() => {
        this.#again(abort)
        abort.abort()
      }, DEAD_AFTER_MS - STALE_AFTER_MS)
    }, STALE_AFTER_MS)
  }

  #again(abort: AbortController, retryAfterS: number | null = null): void {
    if (this.#stopped || this.#abort !== abort) return
    this.#abort = null
    clearTimeout(this.#silence)
    // A stream that merely ended is taken up again at once; only a failed attempt is worth telling.
    if (this.#failures > 0) this.#tell('offline')
    const ceilingMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** this.#failures)
    this.#failures += 1
    // Half fixed, half drawn: a thousand terminals do not come back in the same instant.
    const waitMs = retryAfterS === null ? ceilingMs / 2 + (Math.random() * ceilingMs) / 2 : retryAfterS * 1000
    clearTimeout(this.#retry)
    this.#retry = setTimeout(() => void this.#connect(), waitMs)
  }

  #tell(state: StreamState): void {
    if (state === this.#state && state !== 'connecting') return
    this.#state = state
    this.#options.onState(state)
  }
}
