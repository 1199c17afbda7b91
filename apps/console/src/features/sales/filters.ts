// The sales list's filters live in the address: what one sees can be sent to a colleague.
import type { SalesQuery, SaleState, Tender } from '@forecourt/api-client'
import { startOfDay } from '@forecourt/ui'
import type { LocationQuery, LocationQueryRaw } from 'vue-router'

export const SALE_STATES: readonly SaleState[] = ['open', 'paying', 'paid', 'refunded', 'voided']
export const TENDERS: readonly Tender[] = ['cash', 'wallet', 'wechat']
export const PAGE_SIZES = [20, 50, 100] as const
const DATE = /^\d{4}-\d{2}-\d{2}$/

export interface Filters {
  station: string
  nozzle: string
  state: SaleState | ''
  tender: Tender | ''
  from: string
  to: string
  marked: boolean
  size: number
  cursor: string
}

export const NO_FILTERS: Filters = {
  station: '',
  nozzle: '',
  state: '',
  tender: '',
  from: '',
  to: '',
  marked: false,
  size: PAGE_SIZES[0],
  cursor: '',
}

/** What an address asks for; anything it cannot mean is left out. */
export function filtersOf(query: LocationQuery): Filters {
  const text = (name: string): string => (typeof query[name] === 'string' ? query[name] : '')
  const date = (name: string): string => (DATE.test(text(name)) ? text(name) : '')
  return {
    station: text('station'),
    nozzle: text('station') ? text('nozzle') : '',
    state: SALE_STATES.find((state) => state === text('state')) ?? '',
    tender: TENDERS.find((tender) => tender === text('tender')) ?? '',
    from: date('from'),
    to: date('to'),
    marked: text('marked') === '1',
    size: PAGE_SIZES.find((size) => String(size) === text('size')) ?? PAGE_SIZES[0],
    cursor: text('cursor'),
  }
}

/** The shortest address that asks for this. */
export function addressOf(filters: Filters): LocationQueryRaw {
  const { marked, size, ...texts } = filters
  const query: LocationQueryRaw = {}
  for (const [name, text] of Object.entries(texts)) if (text !== '') query[name] = text
  if (marked) query['marked'] = '1'
  if (size !== NO_FILTERS.size) query['size'] = String(size)
  return query
}

/** As the server wants it: days of the calendar become instants, the last day whole. */
export function requestOf(filters: Filters, timezone: string): SalesQuery {
  return {
    station_id: filters.station || undefined,
    nozzle_id: filters.nozzle || undefined,
    state: filters.state || undefined,
    tender: filters.tender || undefined,
    from: filters.from ? startOfDay(filters.from, timezone) : undefined,
    to: filters.to ? startOfDay(filters.to, timezone, 1) : undefined,
    marked: filters.marked || undefined,
    cursor: filters.cursor || undefined,
    limit: filters.size,
  }
}

export function isFiltered(filters: Filters): boolean {
  return Object.keys(addressOf({ ...filters, cursor: '', size: NO_FILTERS.size })).length > 0
}
