// What the meter said of a sale, and whether it agrees with itself and with what was charged.
import type { Timeline } from '@forecourt/api-client'

export interface MeterEvidence {
  quantityE4: number
  devicePriceE4: number | null
  deviceAmountFen: number | null
  totalizerBeforeE4: number | null
  totalizerAfterE4: number | null
  /** What the counter moved; null when it is not told or went round. */
  totalizerDeltaE4: number | null
  /** Charged (gross) less what the device showed; null when it showed nothing. */
  amountDifferenceFen: number | null
}

export function meterEvidenceOf({ sale, entries }: Timeline): MeterEvidence | null {
  const delivery = entries.find((entry) => entry.kind === 'delivery')
  if (delivery === undefined) return null
  const fact = (name: string): number | null => {
    const value = delivery.facts[name]
    return typeof value === 'number' && Number.isSafeInteger(value) ? value : null
  }
  const before = fact('totalizer_before_e4')
  const after = fact('totalizer_after_e4')
  const amount = fact('device_amount_fen')
  return {
    quantityE4: fact('quantity_e4') ?? sale.quantity_e4,
    devicePriceE4: fact('device_unit_price_e4'),
    deviceAmountFen: amount,
    totalizerBeforeE4: before,
    totalizerAfterE4: after,
    totalizerDeltaE4: before === null || after === null || after < before ? null : after - before,
    amountDifferenceFen: amount === null ? null : sale.gross_fen - amount,
  }
}
