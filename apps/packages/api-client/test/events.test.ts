import { describe, expect, it } from 'vitest'
import { EventParser, type StreamEvent } from '../src/events'

const STREAM = [
  'retry: 2000\n\n',
  'event: hello\ndata: {"at":1}\n\n',
  ': beat\n\n',
  'id: 7\nevent: sale\ndata: {"id":"a",\ndata: "n":1}\n\n',
  'data:no blank\r\n\r\n',
  'id: 8\rdata: old\r\r',
  'event: nothing\n\n',
].join('')

const EVENTS: StreamEvent[] = [
  { type: 'hello', id: '', data: '{"at":1}' },
  { type: 'sale', id: '7', data: '{"id":"a",\n"n":1}' },
  { type: 'message', id: '', data: 'no blank' },
  { type: 'message', id: '8', data: 'old' },
]

describe('EventParser', () => {
  it('reads names, ids, several data lines and every line ending', () => {
    expect(new EventParser().push(STREAM)).toEqual(EVENTS)
  })

  it('gives the same events wherever the stream is cut', () => {
    for (let cut = 0; cut <= STREAM.length; cut += 1) {
      const parser = new EventParser()
      expect([...parser.push(STREAM.slice(0, cut)), ...parser.push(STREAM.slice(cut))]).toEqual(EVENTS)
    }
  })

  it('gives the same events when every character comes alone', () => {
    const parser = new EventParser()
    expect([...STREAM].flatMap((character) => parser.push(character))).toEqual(EVENTS)
  })

  it('gives nothing of an event that is not finished', () => {
    expect(new EventParser().push('data: half')).toEqual([])
    expect(new EventParser().push('data: half\n')).toEqual([])
  })

  it('refuses a line without end', () => {
    expect(() => new EventParser().push('x'.repeat((1 << 20) + 1))).toThrow('exceeds')
  })
})
