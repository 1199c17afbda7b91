// Made-up stations, nozzles and sales for the mock server. Nothing here is shipped.

const PRODUCTS = {
  p92: { energy: 'petrol', unit: 'L', name: 'Petrol 92#', name_zh: '92# 汽油', price: 78500 },
  p95: { energy: 'petrol', unit: 'L', name: 'Petrol 95#', name_zh: '95# 汽油', price: 83900 },
  diesel: { energy: 'diesel', unit: 'L', name: 'Diesel 0#', name_zh: '0# 柴油', price: 74200 },
  lng: { energy: 'lng', unit: 'kg', name: 'LNG', name_zh: '液化天然气', price: 52800 },
  cng: { energy: 'cng', unit: 'Nm3', name: 'CNG', name_zh: '压缩天然气', price: 38500 },
  h2: { energy: 'hydrogen', unit: 'kg', name: 'Hydrogen 35 MPa', name_zh: '氢气 35 MPa', price: 350000 },
  ev: { energy: 'ev', unit: 'kWh', name: 'Fast charging', name_zh: '快充', price: 12600 },
}
const STATIONS = [
  ['east', '城东加油站', ['p92', 'p92', 'p95', 'p95', 'diesel', 'diesel']],
  ['port', '港口 LNG/CNG 站', ['lng', 'lng', 'cng', 'cng']],
  ['north', '北环综合能源站', ['p92', 'h2', 'ev', 'ev']],
]
const STATES = ['idle', 'fuelling', 'calling', 'idle', 'offline', 'error', 'closed', 'ended']
const SALE_STATES = ['open', 'paid', 'paid', 'paying', 'paid', 'refunded', 'paid', 'voided', 'paid', 'open']
const TENDERS = [['wechat'], ['cash'], ['wallet'], ['wechat', 'cash']]
const START = Date.parse('2026-11-22T09:58:12+08:00')
const MINUTE_MS = 60_000

const at = (minutesAgo) => new Date(START - minutesAgo * MINUTE_MS).toISOString()
const amountOf = (quantityE4, priceE4) => Math.floor((quantityE4 * priceE4 + 500_000) / 1_000_000)
const two = (number) => String(number).padStart(2, '0')

export function makeData() {
  const stations = []
  const nozzles = new Map()
  for (const [key, name, products] of STATIONS) {
    const id = `station${key}`
    const items = products.map((product, index) => nozzleOf(key, index, PRODUCTS[product]))
    stations.push({
      id,
      name,
      timezone: 'Asia/Shanghai',
      energies: [...new Set(items.map((nozzle) => nozzle.energy))],
      nozzle_count: items.length,
    })
    nozzles.set(id, items)
  }
  const sales = Array.from({ length: 64 }, (_, index) => saleOf(stations, nozzles, index))
  for (const [stationId, items] of nozzles) {
    for (const nozzle of items) nozzle.unpaid_count = unpaid(sales, stationId, nozzle.number).length
  }
  return { stations, nozzles, sales, payments: new Map(), members: MEMBERS }
}

export function unpaid(sales, stationId, number) {
  return sales.filter(
    (sale) =>
      sale.station_id === stationId && sale.nozzle_number === number && (sale.state === 'open' || sale.state === 'paying'),
  )
}

function nozzleOf(station, index, product) {
  const state = STATES[(index + (station === 'east' ? 0 : 3)) % STATES.length]
  const quantity = state === 'fuelling' ? 183_200 : 0
  return {
    id: `nozzle${station}${two(index + 1)}`,
    number: index + 1,
    energy: product.energy,
    unit: product.unit,
    product: { name: product.name, name_zh: product.name_zh },
    unit_price_e4: product.price,
    state,
    quantity_e4: quantity,
    amount_fen: amountOf(quantity, product.price),
    updated_at: at(0),
    unpaid_count: 0,
    price_pending: station === 'east' && index === 3,
  }
}

function saleOf(stations, nozzles, index) {
  const station = stations[index % stations.length]
  const items = nozzles.get(station.id)
  return makeSale({
    id: `0sale${String(index).padStart(8, '0')}`,
    station,
    nozzle: items[(index * 7) % items.length],
    quantityE4: 82_500 + ((index * 7919) % 400) * 1_000,
    state: SALE_STATES[index % SALE_STATES.length],
    tenders: TENDERS[index % TENDERS.length],
    marks: index % 10 === 9 ? ['totalizer_mismatch'] : index % 17 === 4 ? ['amount_mismatch', 'price_pending'] : [],
    openedAt: at(3 + index * 11),
  })
}

export function makeSale({ id, station, nozzle, quantityE4, state, tenders = [], marks = [], openedAt }) {
  const gross = amountOf(quantityE4, nozzle.unit_price_e4)
  const discount = quantityE4 % 3_000 === 0 ? 500 : 0
  const isPaid = state === 'paid' || state === 'refunded'
  return {
    id,
    station_id: station.id,
    station_name: station.name,
    station_timezone: station.timezone,
    nozzle_id: nozzle.id,
    nozzle_number: nozzle.number,
    product: nozzle.product,
    unit: nozzle.unit,
    quantity_e4: quantityE4,
    unit_price_e4: nozzle.unit_price_e4,
    gross_fen: gross,
    discount_fen: discount,
    due_fen: gross - discount,
    paid_fen: isPaid ? gross - discount : 0,
    refunded_fen: state === 'refunded' ? gross - discount : 0,
    amount_source: 'device',
    state,
    marks,
    tenders: isPaid ? tenders : [],
    business_date: openedAt.slice(0, 10),
    opened_at: openedAt,
    paid_at: isPaid ? new Date(Date.parse(openedAt) + 71_250).toISOString() : null,
  }
}

const MEMBERS = [
  { id: '0member000001', name: '张伟', phone_masked: '138****5678', plate: '粤B12345', available_fen: 86_050 },
  { id: '0member000002', name: '王芳', phone_masked: '139****0012', plate: null, available_fen: 1_200 },
]
