/** A refusal (problem+json), or a failure to reach the server at all (`status` 0). */
export class Problem extends Error {
  readonly status: number
  /** Stable, `module.reason`; the screens translate it. */
  readonly code: string
  readonly detail: string
  readonly facts: Readonly<Record<string, unknown>>
  readonly requestId: string
  readonly retryAfterS: number | null

  constructor(fields: {
    status: number
    code: string
    detail?: string
    facts?: Record<string, unknown>
    requestId?: string
    retryAfterS?: number | null
  }) {
    super(fields.detail || fields.code)
    this.name = 'Problem'
    this.status = fields.status
    this.code = fields.code
    this.detail = fields.detail ?? ''
    this.facts = fields.facts ?? {}
    this.requestId = fields.requestId ?? ''
    this.retryAfterS = fields.retryAfterS ?? null
  }

  /** Whether the request may have been carried out: nobody knows, so the same idempotency key must be sent again. */
  get isUncertain(): boolean {
    return this.status === 0 || this.status >= 500
  }

  /** Whether sending the same request again can help. */
  get isPassing(): boolean {
    return this.isUncertain || this.status === 429
  }
}

export const UNREACHABLE = 'client.unreachable'
export const TIMED_OUT = 'client.timed_out'
const UNREADABLE = 'client.unreadable_answer'

/** The problem told by an answer that is not a success; `body` is whatever could be parsed of it. */
export function problemOf(response: Response, body: unknown): Problem {
  const told = isRecord(body) ? body : {}
  return new Problem({
    status: response.status,
    code: textOf(told['code']) || UNREADABLE,
    detail: textOf(told['detail']) || textOf(told['title']),
    facts: isRecord(told['facts']) ? told['facts'] : {},
    requestId: textOf(told['request_id']) || (response.headers.get('x-request-id') ?? ''),
    retryAfterS: secondsOf(response.headers.get('retry-after')),
  })
}

/** The problem behind anything thrown while asking. */
export function asProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown
  const name = thrown instanceof Error ? thrown.name : ''
  return new Problem({ status: 0, code: name === 'TimeoutError' ? TIMED_OUT : UNREACHABLE })
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function secondsOf(header: string | null): number | null {
  return header !== null && /^\d{1,5}$/.test(header) ? Number(header) : null
}
