// Every request a screen makes. Each returns the answer or throws a `Problem`.
import createClient, { type Client } from 'openapi-fetch'
import type { paths } from './schema'
import { asProblem, Problem, problemOf } from './problem'
import type { Credentials, PaymentAsk, SalesQuery } from './types'

const TIMEOUT_MS = 15_000
const STATIONS_MAX = 200

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

  const keyed = (key: string) => ({ 'Idempotency-Key': key })

  return {
    session: {
      read: () => told(client.GET('/api/v1/session')),
      open: (body: Credentials) => told(client.POST('/api/v1/session', { body })),
      close: () => told(client.DELETE('/api/v1/session')),
    },
    stations: {
      list: () => known(client.GET('/api/v1/stations', { params: { query: { limit: STATIONS_MAX } } })),
      nozzles: (station_id: string) =>
        known(client.GET('/api/v1/stations/{station_id}/forecourt', { params: { path: { station_id } } })),
    },
    sales: {
      list: (query: SalesQuery) => known(client.GET('/api/v1/sales', { params: { query } })),
      timeline: (sale_id: string) =>
        known(client.GET('/api/v1/sales/{sale_id}/timeline', { params: { path: { sale_id } } })),
      pay: (sale_id: string, body: PaymentAsk, key: string) =>
        known(client.POST('/api/v1/sales/{sale_id}/payments', { params: { path: { sale_id }, header: keyed(key) }, body })),
    },
    payments: {
      read: (payment_id: string) => known(client.GET('/api/v1/payments/{payment_id}', { params: { path: { payment_id } } })),
      close: (payment_id: string) =>
        known(client.POST('/api/v1/payments/{payment_id}/close', { params: { path: { payment_id } } })),
    },
    members: {
      find: (query: { phone: string } | { plate: string }) => known(client.GET('/api/v1/members', { params: { query } })),
      wallet: (member_id: string) =>
        known(client.GET('/api/v1/members/{member_id}/wallet', { params: { path: { member_id } } })),
    },
    terminal: {
      enrol: (code: string) => told(client.POST('/api/v1/terminals/enrol', { body: { code } })),
      read: () => told(client.GET('/api/v1/terminals/me')),
      openSales: (nozzle_id: string[]) => known(client.GET('/api/v1/device/sales', { params: { query: { nozzle_id } } })),
      pay: (sale_id: string, body: PaymentAsk, key: string) =>
        known(client.POST('/api/v1/device/sales/{sale_id}/payments', { params: { path: { sale_id }, header: keyed(key) }, body })),
      payment: (payment_id: string) =>
        known(client.GET('/api/v1/device/payments/{payment_id}', { params: { path: { payment_id } } })),
      closePayment: (payment_id: string) =>
        known(client.POST('/api/v1/device/payments/{payment_id}/close', { params: { path: { payment_id } } })),
    },
  }
}

export type Api = ReturnType<typeof createApi>

function withTimeout(ask: (request: Request) => Promise<Response>) {
  return (request: Request) => ask(new Request(request, { signal: AbortSignal.timeout(TIMEOUT_MS) }))
}
