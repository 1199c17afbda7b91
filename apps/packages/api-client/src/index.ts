// The typed way to the server: requests, refusals, idempotency keys and live streams.
export { createApi, type Api, type ApiOptions } from './api'
export { Intent, newKey } from './intent'
export { asProblem, Problem } from './problem'
export { EventStream, type StreamState } from './stream'
export type { StreamEvent } from './events'
export type * from './types'
