import { describe, expect, it } from 'vitest'
import { countdownText, exactText, moneyText, parseYuan, phaseOf, quantityText, startOfDay, stationTime, stationTimeExact, svgUrl, unitText, yuanText } from '../src'

describe('money', () => {
  it.each([
    [0, '0.00'],
    [5, '0.05'],
    [-5, '-0.05'],
    [20_000, '200.00'],
    [123_456_789, '1,234,567.89'],
    [-100_000_000, '-1,000,000.00'],
    [9_007_199_254_740_991, '90,071,992,547,409.91'],
  ])('writes %i fen as %s', (fen, text) => expect(yuanText(fen)).toBe(text))

  it('puts the minus before the sign of the currency', () => {
    expect([moneyText(-12_345), moneyText(12_345)]).toEqual(['-¥123.45', '¥123.45'])
  })

  it.each([
    ['200', 20_000],
    ['200.0', 20_000],
    ['200.05', 20_005],
    [' 0.1 ', 10],
    ['0', 0],
  ])('reads %s', (text, fen) => expect(parseYuan(text)).toBe(fen))

  it.each(['', '-1', '+1', '1.234', '1e3', '01', '.5', '1.', '1,000', 'NaN', '１２', '999999999999'])('refuses %s', (text) =>
    expect(parseYuan(text)).toBeNull(),
  )
})

describe('quantity', () => {
  it.each([
    [254_800, 2, '25.48'],
    [254_850, 2, '25.49'],
    [254_849, 2, '25.48'],
    [1, 4, '0.0001'],
    [0, 2, '0.00'],
    [49, 2, '0.00'],
    [-49, 2, '0.00'],
    [-254_800, 2, '-25.48'],
    [75_000, 0, '8'],
    [8_154_372_500, 4, '815437.2500'],
  ])('writes %i with %i decimals as %s', (e4, digits, text) => expect(quantityText(e4, digits)).toBe(text))

  it.each([
    [78_500, '7.85'],
    [78_525, '7.8525'],
    [78_520, '7.852'],
    [70_000, '7.00'],
  ])('writes %i exactly as %s', (e4, text) => expect(exactText(e4)).toBe(text))

  it('writes normal cubic metres with a raised three', () => {
    expect([unitText('Nm3'), unitText('L')]).toEqual(['Nm³', 'L'])
  })
})

describe('time', () => {
  it('is shown in the zone of the station', () => {
    expect(stationTime('2026-11-22T16:05:09.250Z', 'Asia/Shanghai')).toBe('11-23 00:05:09')
    expect(stationTime('2026-11-22T16:05:09.250Z', 'Asia/Urumqi')).toBe('11-22 22:05:09')
    expect(stationTimeExact('2026-11-23T00:05:09.250+08:00', 'Asia/Shanghai')).toBe('2026-11-23 00:05:09.250')
  })

  it.each([
    ['2026-11-22', 'Asia/Shanghai', 0, '2026-11-21T16:00:00.000Z'],
    ['2026-11-22', 'Asia/Shanghai', 1, '2026-11-22T16:00:00.000Z'],
    ['2026-12-31', 'Asia/Urumqi', 1, '2026-12-31T18:00:00.000Z'],
    ['2026-03-29', 'Europe/Berlin', 0, '2026-03-28T23:00:00.000Z'],
    ['2026-03-29', 'Europe/Berlin', 1, '2026-03-29T22:00:00.000Z'],
    ['2026-01-01', 'America/New_York', 0, '2026-01-01T05:00:00.000Z'],
  ])('begins %s in %s, %i days later, at %s', (date, zone, later, instant) => expect(startOfDay(date, zone, later)).toBe(instant))

  it.each([
    [300, '5:00'],
    [59.2, '1:00'],
    [9, '0:09'],
    [-3, '0:00'],
  ])('counts %d seconds down as %s', (left, text) => expect(countdownText(left)).toBe(text))
})

describe('an SVG', () => {
  it('gets the namespace that an image needs, once', () => {
    expect(decodeURIComponent(svgUrl('<svg viewBox="0 0 1 1"/>'))).toContain('<svg xmlns="http://www.w3.org/2000/svg" viewBox')
    expect(decodeURIComponent(svgUrl('<svg xmlns="http://www.w3.org/2000/svg"/>')).match(/xmlns/g)).toHaveLength(1)
  })
})

describe('phase', () => {
  it.each([
    ['idle', 0, 'idle'],
    ['idle', 1, 'unpaid'],
    ['ended', 1, 'unpaid'],
    ['ended', 0, 'ended'],
    ['fuelling', 1, 'fuelling'],
    ['suspended', 0, 'fuelling'],
    ['started', 0, 'fuelling'],
    ['calling', 2, 'lifted'],
    ['authorised', 0, 'lifted'],
    ['locked', 0, 'closed'],
    ['closed', 1, 'closed'],
    ['offline', 1, 'offline'],
    ['error', 1, 'fault'],
    ['something new', 0, 'fault'],
  ])('of %s with %i unpaid is %s', (state, unpaid_count, phase) => expect(phaseOf({ state, unpaid_count })).toBe(phase))
})
