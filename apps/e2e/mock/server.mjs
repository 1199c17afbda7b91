// A server that is only good enough to look at the screens: made-up data, the API's shapes, live events on command.
// `node mock/server.mjs` serves it for development; journeys and screenshots start their own.
import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { makeData, makeSale, unpaid } from './data.mjs'
import { timelineOf } from './timeline.mjs'

const WEB = fileURLToPath(new URL('../../../src/forecourt/api/web/', import.meta.url))
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' }
// The policy of the real server, so that a page which breaks it is seen here.
const POLICY =
  "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; " +
  "font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
const HEARTBEAT_MS = 5_000
const QR_LASTS_MS = 300_000
const QR = `<svg viewBox="0 0 25 25" shape-rendering="crispEdges"><path d="${qrPath()}"/></svg>`

export const ACCOUNT = { account: 'cashier', password: 'correct horse battery' }
export const CODE = 'ABCD2345'

export class Mock {
  data = makeData()
  #streams = new Set()
  #log = []
  #sequence = 0
  /** Set to refuse every API request with this status, or to 'hang' to answer none. */
  fault = null

  async listen(port = 0) {
    this.server = createServer((request, response) => void this.#serve(request, response))
    await new Promise((resolve) => this.server.listen(port, '127.0.0.1', resolve))
    this.beat = setInterval(() => this.#send(null, 'heartbeat', {}), HEARTBEAT_MS)
    return `http://127.0.0.1:${this.server.address().port}`
  }

  async close() {
    clearInterval(this.beat)
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }

  /** Cut every live stream; while `fault` is set they cannot come back. */
  cut() {
    for (const stream of this.#streams) stream.response.destroy()
    this.#streams.clear()
  }

  nozzle(stationId, number, change) {
    const nozzle = this.data.nozzles.get(stationId).find((one) => one.number === number)
    Object.assign(nozzle, change, { updated_at: new Date().toISOString() })
    this.#send(stationId, 'nozzle', live(nozzle))
  }

  openSale(stationId, number, quantityE4, id = `0live${String(Date.now()).slice(-8)}`) {
    const station = this.data.stations.find((one) => one.id === stationId)
    const nozzle = this.data.nozzles.get(stationId).find((one) => one.number === number)
    const sale = makeSale({ id, station, nozzle, quantityE4, state: 'open', openedAt: new Date().toISOString() })
    this.data.sales.unshift(sale)
    this.#changed(sale)
    return sale
  }

  settle(paymentId, state) {
    const payment = this.data.payments.get(paymentId)
    payment.state = state
    const sale = this.data.sales.find((one) => one.id === payment.sale_ids[0])
    if (state === 'paid') {
      sale.paid_fen += payment.amount_fen
      if (sale.paid_fen >= sale.due_fen) Object.assign(sale, { state: 'paid', paid_at: new Date().toISOString() })
      sale.tenders = [...sale.tenders, payment.tender]
    } else if (sale.state === 'paying') sale.state = 'open'
    this.#send(sale.station_id, 'payment', payment, true)
    this.#changed(sale)
  }

  #changed(sale) {
    const nozzle = this.data.nozzles.get(sale.station_id).find((one) => one.number === sale.nozzle_number)
    nozzle.unpaid_count = unpaid(this.data.sales, sale.station_id, sale.nozzle_number).length
    this.#send(sale.station_id, 'sale', sale, true)
  }

  #send(stationId, type, data, numbered = false) {
    const id = numbered ? String(++this.#sequence) : null
    const event = { stationId, text: `${id ? `id: ${id}\n` : ''}event: ${type}\ndata: ${JSON.stringify(data)}\n\n`, sequence: this.#sequence }
    if (numbered) this.#log.push(event)
    for (const stream of this.#streams) {
      if (!stationId || !stream.stationId || stream.stationId === stationId) stream.response.write(event.text)
    }
  }

  #stream(request, response, stationId) {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    const last = Number(request.headers['last-event-id'] ?? Number.NaN)
    response.write('event: hello\ndata: {}\n\n')
    for (const event of this.#log) {
      if (event.sequence > last && (!stationId || event.stationId === stationId)) response.write(event.text)
    }
    const stream = { response, stationId }
    this.#streams.add(stream)
    request.on('close', () => this.#streams.delete(stream))
  }

  async #serve(request, response) {
    const url = new URL(request.url, 'http://mock')
    if (!url.pathname.startsWith('/api/')) return page(url.pathname, response)
    if (this.fault === 'hang') return undefined
    if (this.fault) return refuse(response, this.fault, 'core.unavailable')
    const body = await read(request)
    const signedIn = /forecourt=(\w+)/.exec(request.headers.cookie ?? '')?.[1]
    for (const [method, pattern, answer, who] of ROUTES) {
      const match = request.method === method && pattern.exec(url.pathname)
      if (!match) continue
      if (who && signedIn !== who && !(who === 'any' && signedIn)) return refuse(response, 401, 'core.unauthenticated')
      if (url.pathname.endsWith('/stream')) {
        return this.#stream(request, response, who === 'device' ? TERMINAL.station.id : url.searchParams.get('station_id'))
      }
      return answer(this, { response, query: url.searchParams, id: match[1], body, key: request.headers['idempotency-key'] })
    }
    return refuse(response, 404, 'core.not_found')
  }

  pay(response, saleId, ask, key) {
    const sale = this.data.sales.find((one) => one.id === saleId)
    if (!key) return refuse(response, 422, 'core.idempotency_key_missing')
    if (!sale || sale.due_fen <= sale.paid_fen) return refuse(response, 409, 'sales.not_payable')
    const booked = ask.tender !== 'wechat'
    const payment = {
      id: `0payment${String(this.data.payments.size).padStart(5, '0')}`,
      sale_ids: [sale.id],
      state: 'pending',
      tender: ask.tender,
      product: ask.product ?? null,
      amount_fen: ask.amount_fen ?? sale.due_fen - sale.paid_fen,
      qr_svg: ask.product === 'native' ? QR : null,
      qr_text: ask.product === 'native' ? 'weixin://wxpay/bizpayurl?pr=mock' : null,
      expires_at: booked ? null : new Date(Date.now() + QR_LASTS_MS).toISOString(),
    }
    this.data.payments.set(payment.id, payment)
    if (booked) this.settle(payment.id, 'paid')
    else {
      sale.state = 'paying'
      this.#changed(sale)
    }
    return json(response, booked ? 201 : 202, payment)
  }
}

const TERMINAL = {
  terminal_id: '0terminal0001',
  name: '1 号立柱',
  station: { id: 'stationeast', name: '城东加油站', timezone: 'Asia/Shanghai' },
  nozzles: [1, 2, 3].map((number) => ({ id: `nozzleeast0${number}`, number })),
}
const SESSION = {
  name: '李娜',
  scope: { kind: 'operator', operator_id: '0operator0001' },
  permissions: ['sites:read', 'deliveries:read', 'sales:read', 'sales:take', 'payments:read', 'payments:take', 'customers:read'],
}

const ROUTES = [
  ['GET', /^\/api\/v1\/session$/, (_, { response }) => json(response, 200, SESSION), 'staff'],
  ['POST', /^\/api\/v1\/session$/, (_, { response, body }) => logIn(response, body)],
  ['DELETE', /^\/api\/v1\/session$/, (_, { response }) => json(response, 204, null, { 'set-cookie': 'forecourt=; Max-Age=0; Path=/' })],
  ['POST', /^\/api\/v1\/terminals\/enrol$/, (_, { response, body }) => enrol(response, body)],
  ['GET', /^\/api\/v1\/terminals\/me$/, (_, { response }) => json(response, 200, TERMINAL), 'device'],
  ['GET', /^\/api\/v1\/stations$/, (mock, { response }) => json(response, 200, { items: mock.data.stations }), 'staff'],
  ['GET', /^\/api\/v1\/stations\/(\w+)\/forecourt$/, (mock, { response, id }) => json(response, 200, { items: mock.data.nozzles.get(id) ?? [] }), 'any'],
  ['GET', /^\/api\/v1\/sales$/, (mock, { response, query }) => json(response, 200, salesPage(mock.data, query)), 'staff'],
  ['GET', /^\/api\/v1\/sales\/(\w+)\/timeline$/, (mock, { response, id }) => story(mock, response, id), 'staff'],
  ['POST', /^\/api\/v1\/sales\/(\w+)\/payments$/, (mock, { response, id, body, key }) => mock.pay(response, id, body, key), 'staff'],
  ['GET', /^\/api\/v1\/(?:device\/)?payments\/(\w+)$/, (mock, { response, id }) => json(response, 200, mock.data.payments.get(id)), 'any'],
  ['POST', /^\/api\/v1\/(?:device\/)?payments\/(\w+)\/close$/, (mock, { response, id }) => closed(mock, response, id), 'any'],
  ['GET', /^\/api\/v1\/members$/, (mock, { response }) => json(response, 200, { items: mock.data.members, next_cursor: null }), 'staff'],
  ['GET', /^\/api\/v1\/members\/(\w+)\/wallet$/, (mock, { response, id }) => json(response, 200, mock.data.members.find((one) => one.id === id)), 'staff'],
  ['GET', /^\/api\/v1\/stream$/, null, 'staff'],
  ['GET', /^\/api\/v1\/device\/stream$/, null, 'device'],
  ['GET', /^\/api\/v1\/device\/sales$/, (mock, { response }) => json(response, 200, deviceSales(mock.data)), 'device'],
  ['POST', /^\/api\/v1\/device\/sales\/(\w+)\/payments$/, (mock, { response, id, body, key }) => mock.pay(response, id, body, key), 'device'],
]

function logIn(response, { account, password }) {
  if (account !== ACCOUNT.account || password !== ACCOUNT.password) return refuse(response, 401, 'access.log_in_failed')
  return json(response, 200, SESSION, { 'set-cookie': 'forecourt=staff; HttpOnly; SameSite=Lax; Path=/' })
}

function enrol(response, { code }) {
  if (code !== CODE) return refuse(response, 401, 'access.code_unknown')
  return json(response, 200, TERMINAL, { 'set-cookie': 'forecourt=device; HttpOnly; SameSite=Lax; Path=/' })
}

function salesPage({ sales }, query) {
  const limit = Number(query.get('limit') ?? 50)
  const start = Number(query.get('cursor') ?? 0)
  const found = sales.filter(
    (sale) =>
      (!query.get('station_id') || sale.station_id === query.get('station_id')) &&
      (!query.get('nozzle_id') || query.get('nozzle_id').endsWith(String(sale.nozzle_number))) &&
      (!query.get('state') || sale.state === query.get('state')) &&
      (!query.get('tender') || sale.tenders.includes(query.get('tender'))) &&
      (!query.get('marked') || sale.marks.length > 0),
  )
  return { items: found.slice(start, start + limit), next_cursor: start + limit < found.length ? String(start + limit) : null }
}

function deviceSales({ sales }) {
  const mine = TERMINAL.nozzles.flatMap(({ number }) => unpaid(sales, TERMINAL.station.id, number))
  return { items: mine, next_cursor: null }
}

function live({ id, state, quantity_e4, amount_fen, unit_price_e4, updated_at }) {
  return { id, state, quantity_e4, amount_fen, unit_price_e4, updated_at }
}

function story({ data }, response, id) {
  const sale = data.sales.find((one) => one.id === id)
  return sale ? json(response, 200, timelineOf(sale)) : refuse(response, 404, 'sales.not_found')
}

function closed(mock, response, id) {
  if (mock.data.payments.get(id).state === 'pending') mock.settle(id, 'closed')
  return json(response, 200, mock.data.payments.get(id))
}

function json(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(body === null ? undefined : JSON.stringify(body))
}

function refuse(response, status, code) {
  response.writeHead(status, { 'content-type': 'application/problem+json' })
  const request_id = 'req-7Kd2mQx9'
  response.end(JSON.stringify({ type: 'about:blank', title: code, status, code, detail: code, facts: {}, request_id }))
}

async function read(request) {
  const parts = []
  for await (const part of request) parts.push(part)
  return parts.length > 0 ? JSON.parse(Buffer.concat(parts).toString()) : null
}

async function page(path, response) {
  const [, app, rest] = /^\/(console|device)\/?(.*)$/.exec(path) ?? []
  if (!app) return response.writeHead(302, { location: '/console/' }).end()
  const root = join(WEB, app === 'console' ? 'console' : 'terminal')
  const name = extname(rest) ? normalize(rest) : 'index.html'
  try {
    const file = await readFile(join(root, name))
    response.writeHead(200, { 'content-type': TYPES[extname(name)] ?? 'application/octet-stream', 'content-security-policy': POLICY })
    return response.end(file)
  } catch {
    return response.writeHead(404).end()
  }
}

/** Looks like a QR; cannot be scanned. */
function qrPath() {
  const cells = []
  const corner = (x, y) => (x < 7 || x > 17) && (y < 7 || y > 17) && !(x > 17 && y > 17)
  const ring = (x, y) => {
    const [dx, dy] = [x > 17 ? x - 18 : x, y > 17 ? y - 18 : y]
    return Math.max(Math.abs(dx - 3), Math.abs(dy - 3)) !== 2
  }
  for (let y = 0; y < 25; y += 1) {
    for (let x = 0; x < 25; x += 1) {
      if (corner(x, y) ? ring(x, y) : (x * 7 + y * 13 + x * y) % 5 < 2) cells.push(`M${x} ${y}h1v1h-1z`)
    }
  }
  return cells.join('')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(await new Mock().listen(Number(process.env.PORT ?? 8000)), ACCOUNT, CODE)
}
