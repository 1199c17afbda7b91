import { describe, expect, it } from 'vitest'
import { addressOf, filtersOf, isFiltered, NO_FILTERS, requestOf, type Filters } from '../src/features/sales/filters'
import { safeReturnTo } from '../src/router'

const ALL: Filters = {
  station: 's1',
  nozzle: 'n2',
  state: 'open',
  tender: 'cash',
  from: '2026-11-01',
  to: '2026-11-22',
  marked: true,
  size: 50,
  cursor: 'abc',
}

describe('the filters of the sales list', () => {
  it('come back from the address as they went in', () => {
    expect(filtersOf(addressOf(ALL) as Record<string, string>)).toEqual(ALL)
    expect(filtersOf({})).toEqual(NO_FILTERS)
  })

  it('make the shortest address', () => {
    expect(addressOf(NO_FILTERS)).toEqual({})
    expect(addressOf({ ...NO_FILTERS, state: 'paid' })).toEqual({ state: 'paid' })
  })

  it('leave out what an address cannot mean', () => {
    expect(filtersOf({ state: 'gone', tender: 'gold', from: 'yesterday', size: '7', nozzle: 'n2', marked: 'yes' })).toEqual(NO_FILTERS)
    expect(filtersOf({ state: ['open', 'paid'] })).toEqual(NO_FILTERS)
  })

  it('ask the server for what is set, and nothing else', () => {
    expect(JSON.parse(JSON.stringify(requestOf(NO_FILTERS, 'Asia/Shanghai')))).toEqual({ limit: 20 })
    expect(requestOf(ALL, 'Asia/Shanghai')).toEqual({
      station_id: 's1',
      nozzle_id: 'n2',
      state: 'open',
      tender: 'cash',
      from: '2026-10-31T16:00:00.000Z',
      to: '2026-11-22T16:00:00.000Z',
      marked: true,
      cursor: 'abc',
      limit: 50,
    })
  })

  it('count a page or a page size as no filter', () => {
    expect(isFiltered({ ...NO_FILTERS, cursor: 'x', size: 100 })).toBe(false)
    expect(isFiltered({ ...NO_FILTERS, marked: true })).toBe(true)
  })
})

describe('the way back after log-in', () => {
  it.each(['/sales?state=open', '/sales/01abc'])('goes to %s', (path) => expect(safeReturnTo(path)).toBe(path))

  it.each(['//evil.example', '/\\evil.example', 'https://evil.example', 'javascript:alert(1)', '', undefined, ['/a']])(
    'never leaves the console for %s',
    (path) => expect(safeReturnTo(path)).toBe('/'),
  )
})
