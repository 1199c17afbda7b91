import type { Posting, Sale, Timeline } from '@forecourt/api-client'
import { describe, expect, it } from 'vitest'
import { factText } from '../src/features/sale/facts'
import { transfersOf } from '../src/features/sale/ledger'
import { meterEvidenceOf } from '../src/features/sale/meter'

const context = { unit: 'Nm3', timezone: 'Asia/Shanghai', yes: 'yes', no: 'no' }

describe('facts', () => {
  it.each([
    ['device_amount_fen', 20_000, '¥200.00'],
    ['refunded_fen', -5, '-¥0.05'],
    ['device_unit_price_e4', 38_500, '¥3.85 / Nm³'],
    ['totalizer_before_e4', 8_154_372_500, '815437.25 Nm³'],
    ['started_at', '2026-11-22T16:00:00Z', '2026-11-23 00:00:00.000'],
    ['message_id', 40_217, '40217'],
    ['pressure_end_kpa', 950, '950 kPa'],
    ['temperature_c_e2', -16_205, '-162.05 °C'],
    ['soc_end_percent', 80, '80 %'],
    ['duration_s', 35, '35 s'],
    ['is_test', true, 'yes'],
    ['marks', ['a', 'b'], 'a, b'],
    ['preset', { kind: 'amount' }, '{"kind":"amount"}'],
    ['member', null, '—'],
    ['marks', [], '—'],
    ['amount_fen', 1.5, '1.5'],
  ])('%s = %j reads %s', (name, value, text) => expect(factText(name, value, context)).toBe(text))
})

describe('meter evidence', () => {
  const sale = { quantity_e4: 254_800, gross_fen: 20_000 } as Sale
  const told = (facts: Record<string, unknown>): Timeline => ({
    sale,
    entries: [{ at: '2026-11-22T00:00:00Z', kind: 'delivery', title_code: 'delivery_recorded', facts, reference: '' }],
    postings: [],
  })

  it('compares the counter and the display with what was charged', () => {
    const evidence = meterEvidenceOf(
      told({ quantity_e4: 254_800, totalizer_before_e4: 1_000_000, totalizer_after_e4: 1_254_800, device_amount_fen: 20_002, device_unit_price_e4: 78_500 }),
    )
    expect(evidence).toEqual({
      quantityE4: 254_800,
      devicePriceE4: 78_500,
      deviceAmountFen: 20_002,
      totalizerBeforeE4: 1_000_000,
      totalizerAfterE4: 1_254_800,
      totalizerDeltaE4: 254_800,
      amountDifferenceFen: -2,
    })
  })

  it('does not guess what was not told, nor over a counter that went round', () => {
    expect(meterEvidenceOf(told({}))).toMatchObject({ totalizerDeltaE4: null, amountDifferenceFen: null, quantityE4: 254_800 })
    expect(meterEvidenceOf(told({ totalizer_before_e4: 9, totalizer_after_e4: 1 }))?.totalizerDeltaE4).toBeNull()
  })

  it('is absent without a delivery', () => {
    expect(meterEvidenceOf({ sale, entries: [], postings: [] })).toBeNull()
  })
})

describe('postings', () => {
  const posting = (transfer_id: string, side: Posting['side'], amount_fen: number): Posting => ({
    transfer_id,
    at: '2026-11-22T00:00:00Z',
    kind: 'cash_taken',
    account: 'cash_on_hand',
    side,
    amount_fen,
  })

  it('are summed by transfer', () => {
    const transfers = transfersOf([posting('a', 'debit', 300), posting('b', 'debit', 1), posting('a', 'credit', 100), posting('a', 'credit', 200)])
    expect(transfers.map(({ id, debitFen, creditFen }) => [id, debitFen, creditFen])).toEqual([
      ['a', 300, 300],
      ['b', 1, 0],
    ])
  })
})
