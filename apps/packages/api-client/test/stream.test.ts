import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { StreamEvent } from '../src/events'
import { Problem } from '../src/problem'
import { EventStream, type StreamState } from '../src/stream'

/** One connection as the server sees it. */
class Line {
  readonly headers: Headers
  #out: ReadableStreamDefaultController<Uint8Array> | undefined
  readonly body = new ReadableStream<Uint8Array>({ start: (out) => void (this.#out = out) })

  constructor(init: RequestInit | undefined) {
    this.headers = new Headers(init?.headers)
    init?.signal?.addEventListener('abort', () => this.#quietly(() => this.#out?.error(new Error('aborted'))))
  }

  async send(text: string): Promise<void> {
    this.#out?.enqueue(new TextEncoder().encode(text))
    await vi.advanceTimersByTimeAsync(0)
  }

  async end(): Promise<void> {
    this.#out?.close()
    await vi.advanceTimersByTimeAsync(0)
  }

  #quietly(act: () => void): void {
    try {
      act()
    } catch {
      // It was closed before.
    }
  }
}

const lines: Line[] = []
const events: StreamEvent[] = []
const states: StreamState[] = []
const refusals: Problem[] = []
let opened = 0
let answer: (line: Line) => Response | Promise<Response>
let stream: EventStream

const answering = (line: Line): Response => new Response(line.body, { status: 200 })
const line = (): Line => lines.at(-1) ?? expect.unreachable()

beforeEach(async () => {
  vi.useFakeTimers()
  lines.length = events.length = states.length = refusals.length = opened = 0
  answer = answering
  stream = new EventStream({
    url: '/stream',
    onEvent: (event) => void events.push(event),
    onState: (state) => void states.push(state),
    onOpen: () => void (opened += 1),
    onRefused: (problem) => void refusals.push(problem),
    fetch: async (_, init) => {
      lines.push(new Line(init))
      return answer(line())
    },
  })
  stream.start()
  await vi.advanceTimersByTimeAsync(0)
})

afterEach(() => {
  stream.stop()
  vi.useRealTimers()
})

describe('EventStream', () => {
  it('hands on events and is live', async () => {
    await line().send('event: sale\ndata: {}\n\n')
    expect(events).toEqual([{ type: 'sale', id: '', data: '{}' }])
    expect(states).toEqual(['connecting', 'live'])
  })

  it('resumes after a break with the last id it has seen, and says that it connected anew', async () => {
    await line().send('id: 41\ndata: a\n\nid: 42\ndata: b\n\nevent: nozzle\ndata: c\n\n')
    expect(line().headers.has('last-event-id')).toBe(false)
    await line().end()
    await vi.advanceTimersByTimeAsync(600)
    expect(lines.length).toBe(2)
    expect(line().headers.get('last-event-id')).toBe('42')
    expect(opened).toBe(2)
  })

  it('keeps a stream alive that only beats', async () => {
    for (let beat = 0; beat < 8; beat += 1) {
      await line().send(': beat\n\n')
      await vi.advanceTimersByTimeAsync(5_000)
    }
    expect(states).toEqual(['connecting', 'live'])
  })

  it('is stale after ten silent seconds, and connects anew after twenty', async () => {
    await line().send(': beat\n\n')
    await vi.advanceTimersByTimeAsync(9_999)
    expect(states.at(-1)).toBe('live')
    await vi.advanceTimersByTimeAsync(1)
    expect(states.at(-1)).toBe('stale')
    await vi.advanceTimersByTimeAsync(10_600)
    expect(lines.length).toBe(2)
    await line().send(': beat\n\n')
    expect(states.at(-1)).toBe('live')
  })

  it('is offline while it cannot connect, waits longer each time, and recovers', async () => {
    answer = () => Promise.reject(new TypeError('fetch failed'))
    await line().end()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(states.at(-1)).toBe('offline')
    expect(lines.length).toBeGreaterThan(5)
    expect(lines.length).toBeLessThan(18)
    answer = answering
    await vi.advanceTimersByTimeAsync(10_000)
    await line().send(': beat\n\n')
    expect(states.at(-1)).toBe('live')
  })

  it('comes back at once when the network does', async () => {
    answer = () => Promise.reject(new TypeError('fetch failed'))
    await line().end()
    await vi.advanceTimersByTimeAsync(40_000)
    const tries = lines.length
    globalThis.dispatchEvent(new Event('online'))
    expect(lines.length).toBe(tries + 1)
  })

  it('waits as long as a busy server asks', async () => {
    answer = () => new Response('{}', { status: 503, headers: { 'retry-after': '30' } })
    await line().end()
    await vi.advanceTimersByTimeAsync(1_000)
    const tries = lines.length
    await vi.advanceTimersByTimeAsync(29_000)
    expect(lines.length).toBe(tries)
  })

  it('stops when the server refuses for good', async () => {
    answer = () => Response.json({ code: 'core.unauthenticated', status: 401 }, { status: 401 })
    await line().end()
    await vi.advanceTimersByTimeAsync(120_000)
    expect(refusals.map((problem) => problem.code)).toEqual(['core.unauthenticated'])
    expect(lines.length).toBe(2)
  })

  it('is silent for ever once stopped', async () => {
    stream.stop()
    await vi.advanceTimersByTimeAsync(120_000)
    expect(lines.length).toBe(1)
  })
})
