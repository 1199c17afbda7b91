// Every request a screen makes. Each returns the answer or throws a `Problem`.
import createClient, { type Client } from 'openapi-fetch'
import type { paths } from './schema'
import { asProblem, Problem, problemOf } from './problem'
import type { Credentials, PaymentAsk, SalesQuery } from './types'

const TIMEOUT_MS = 15_000

export interface ApiOptions {
  baseUrl?: string
  fetch?: (request: Request) => Promise<Response>
  /** Told when the server no longer knows who is asking. */
  onUnauthenticated?: () => void
}

type Told<Data> = Promise<{ data?: Data; error?: unknown; response: Response }>

export function createApi(options: ApiOptions = {}) {
  const client: Client<paths> = createClient<paths>({
    baseUrl: options.baseUrl ?? '',
    credentials: 'same-origin',
    fetch: withTimeout(options.fetch ?? ((request) => fetch(request))),
  })

  async function told<Data>(asked: Told<Data>): Promise<Data> {
    let answer: Awaited<Told<Data>>
    try {
      answer = await asked
    } catch (thrown) {
      throw asProblem(thrown)
    }
    if (!answer.response.ok) throw problemOf(answer.response, answer.error)
    return answer.data as Data
  }

  /** As `told`, for requests that need a session: its loss is reported once, here. */
  async function known<Data>(asked: Told<Data>): Promise<Data> {
    try {
      return await told(asked)
    } catch (thrown) {
      if (thrown instanceof Problem && thrown.status === 401) options.onUnauthenticated?.()
      throw thrown
    }
  }

  const at = (id: string) => ({ params: { path: { id } } })
  const keyed = (id: string, key: string) => ({ params: { path: { id }, header: { 'Idempotency-Key': key } } })

  return {
    config: () => told(client.GET('/api/v1/config')),
    session: {
      read: () => told(client.GET('/api/v1/session')),
      open: (body: Credentials) => told(client.POST('/api/v1/session', { body })),
      close: () => told(client.DELETE('/api/v1/session')),
    },
    stations: {
      list: () => known(client.GET('/api/v1/stations')),
      nozzles: (id: string) => known(client.GET('/api/v1/stations/{id}/nozzles', at(id))),
    },
    sales: {
      list: (query: SalesQuery) => known(client.GET('/api/v1/sales', { params: { query } })),
      timeline: (id: string) => known(client.GET('/api/v1/sales/{id}/timeline', at(id))),
      pay: (id: string, body: PaymentAsk, key: string) =>
        known(client.POST('/api/v1/sales/{id}/payments', { ...keyed(id, key), body })),
    },
    payments: {
      read: (id: string) => known(client.GET('/api/v1/payments/{id}', at(id))),
      close: (id: string, key: string) =>
        known(client.POST('/api/v1/payments/{id}/close', keyed(id, key))),
    },
    members: (query: string) => known(client.GET('/api/v1/members', { params: { query: { query } } })),
    terminal: {
      enrol: (code: string) => told(client.POST('/api/v1/terminals/enrol', { body: { code } })),
      read: () => told(client.GET('/api/v1/terminals/me')),
      openSales: () => known(client.GET('/api/v1/device/sales', { params: { query: { open: true } } })),
      pay: (id: string, body: PaymentAsk, key: string) =>
        known(client.POST('/api/v1/device/sales/{id}/payments', { ...keyed(id, key), body })),
    },
  }
}

export type Api = ReturnType<typeof createApi>

function withTimeout(ask: (request: Request) => Promise<Response>) {
  return (request: Request) => ask(new Request(request, { signal: AbortSignal.timeout(TIMEOUT_MS) }))
}
