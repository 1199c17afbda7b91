// Server-sent events: characters in, events out (HTML standard, 9.2.6). No I/O.

export interface StreamEvent {
  /** `message` when the server gave no name. */
  type: string
  /** The sequence to resume from; empty when this event has none. */
  id: string
  data: string
}

const LINE_CHARS_MAX = 1 << 20

export class EventParser {
  #rest = ''
  #skipLineFeed = false
  #type = ''
  #id = ''
  #data: string[] = []

  /** The events completed by these characters. */
  push(text: string): StreamEvent[] {
    const events: StreamEvent[] = []
    let buffer = this.#rest + (this.#skipLineFeed && text.startsWith('\n') ? text.slice(1) : text)
    if (text !== '') this.#skipLineFeed = false
    for (let end = buffer.search(/[\r\n]/); end !== -1; end = buffer.search(/[\r\n]/)) {
      const line = buffer.slice(0, end)
      let next = end + 1
      if (buffer[end] === '\r') {
        if (next === buffer.length) this.#skipLineFeed = true
        else if (buffer[next] === '\n') next += 1
      }
      buffer = buffer.slice(next)
      const event = this.#line(line)
      if (event !== null) events.push(event)
    }
    if (buffer.length > LINE_CHARS_MAX) throw new Error(`a line of the stream exceeds ${LINE_CHARS_MAX} characters`)
    this.#rest = buffer
    return events
  }

  #line(line: string): StreamEvent | null {
    if (line === '') return this.#dispatch()
    if (line.startsWith(':')) return null
    const colon = line.indexOf(':')
    const field = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'event') this.#type = value
    else if (field === 'data') this.#data.push(value)
    else if (field === 'id' && !value.includes('\0')) this.#id = value
    return null
  }

  #dispatch(): StreamEvent | null {
    const event = { type: this.#type || 'message', id: this.#id, data: this.#data.join('\n') }
    const empty = this.#data.length === 0
    this.#type = ''
    this.#id = ''
    this.#data = []
    return empty ? null : event
  }
}
