import { describe, expect, it, vi } from 'vitest'
import { createApi } from '../src/api'
import { Intent, newKey } from '../src/intent'
import { Problem } from '../src/problem'

const problem = { type: 'about:blank', title: 'No', status: 409, code: 'sales.not_payable', detail: 'Paid.', facts: { paid_fen: 1 }, request_id: 'r-1' }
const refusing = (body: unknown, init: ResponseInit) => async () =>
  new Response(typeof body === 'string' ? body : JSON.stringify(body), {
    ...init,
    headers: { 'content-type': 'application/problem+json', ...init.headers },
  })
const refusal = async (asked: Promise<unknown>): Promise<Problem> => asked.then(() => expect.unreachable(), (thrown) => thrown as Problem)

describe('createApi', () => {
  const at = (fetch: (request: Request) => Promise<Response>, onUnauthenticated: () => void = () => undefined) =>
    createApi({ baseUrl: 'http://test', fetch, onUnauthenticated })

  it('sends the idempotency key with money', async () => {
    const asked: Request[] = []
    const api = at(async (request) => {
      asked.push(request)
      return Response.json({ id: 'p', state: 'paid' }, { status: 201 })
    })
    expect((await api.sales.pay('s1', { tender: 'cash' }, 'key-12345')).state).toBe('paid')
    expect(asked[0]?.headers.get('idempotency-key')).toBe('key-12345')
    expect(asked[0]?.url).toBe('http://test/api/v1/sales/s1/payments')
  })

  it('leaves unset filters out of the address', async () => {
    let url = ''
    const api = at(async (request) => {
      url = request.url
      return Response.json({ items: [], next_cursor: null })
    })
    await api.sales.list({ state: 'open', station_id: undefined, limit: 20 })
    expect(url).toBe('http://test/api/v1/sales?state=open&limit=20')
  })

  it('throws what the server refused, with its code, facts and request id', async () => {
    const thrown = await refusal(at(refusing(problem, { status: 409 })).sales.timeline('s'))
    expect(thrown).toBeInstanceOf(Problem)
    expect([thrown.status, thrown.code, thrown.requestId, thrown.facts]).toEqual([409, 'sales.not_payable', 'r-1', { paid_fen: 1 }])
    expect(thrown.isUncertain).toBe(false)
  })

  it('understands an answer that is no problem document', async () => {
    const thrown = await refusal(at(refusing('<h1>Bad gateway</h1>', { status: 502, headers: { 'x-request-id': 'r-2' } })).session.read())
    expect([thrown.status, thrown.code, thrown.requestId]).toEqual([502, 'client.unreadable_answer', 'r-2'])
    expect(thrown.isUncertain).toBe(true)
  })

  it('calls a server that cannot be reached unreachable', async () => {
    const thrown = await refusal(at(() => Promise.reject(new TypeError('fetch failed'))).session.read())
    expect([thrown.status, thrown.code]).toEqual([0, 'client.unreachable'])
  })

  it('reports a lost session once, but not a failed log-in', async () => {
    const told = vi.fn<() => void>()
    const api = at(refusing({ ...problem, status: 401, code: 'core.unauthenticated' }, { status: 401 }), told)
    await refusal(api.session.open({ account: 'a', password: 'b' }))
    expect(told).not.toHaveBeenCalled()
    await refusal(api.stations.list())
    expect(told).toHaveBeenCalledTimes(1)
  })
})

describe('Intent', () => {
  const keys: string[] = []
  const failing = (status: number) => async (key: string) => {
    keys.push(key)
    throw new Problem({ status, code: 'x' })
  }
  const passing = async (key: string) => {
    keys.push(key)
    return 'yes'
  }

  it('keeps its key while nobody knows whether the request was carried out', async () => {
    const intent = new Intent()
    keys.length = 0
    await refusal(intent.ask({ sale: 1 }, failing(0)))
    await refusal(intent.ask({ sale: 1 }, failing(503)))
    await refusal(intent.ask({ sale: 1 }, failing(429)))
    await intent.ask({ sale: 1 }, passing)
    expect(new Set(keys).size).toBe(1)
  })

  it.each([
    ['a yes', passing],
    ['a no', failing(409)],
  ])('takes a new key after %s', async (_, first) => {
    const intent = new Intent()
    keys.length = 0
    await intent.ask({ sale: 1 }, first).catch(() => undefined)
    await intent.ask({ sale: 1 }, passing)
    expect(new Set(keys).size).toBe(2)
  })

  it('takes a new key for another request', async () => {
    const intent = new Intent()
    keys.length = 0
    await refusal(intent.ask({ amount: 1 }, failing(0)))
    await intent.ask({ amount: 2 }, passing)
    expect(new Set(keys).size).toBe(2)
  })

  it('makes keys the server accepts', () => {
    expect(newKey()).toMatch(/^[0-9a-f]{32}$/)
  })
})
