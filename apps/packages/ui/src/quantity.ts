// Quantities and unit prices are whole 1e-4; text is cut from their digits.

const E4_DIGITS = 4

/** 254800 → "25.48"; rounds half up to `digits` decimals (0..4). */
export function quantityText(quantityE4: number, digits = 2): string {
  const step = 10 ** (E4_DIGITS - digits)
  const rounded = Math.floor((Math.abs(quantityE4) + step / 2) / step)
  const text = String(rounded).padStart(digits + 1, '0')
  const sign = quantityE4 < 0 && rounded > 0 ? '-' : ''
  return digits === 0 ? sign + text : `${sign}${text.slice(0, -digits)}.${text.slice(-digits)}`
}

/** All four decimals, less the zeros that say nothing beyond the second: 78500 → "7.85", 78525 → "7.8525". */
export function exactText(e4: number): string {
  return quantityText(e4, E4_DIGITS).replace(/0{1,2}$/, '')
}

/** How a unit is written for people. */
export function unitText(unit: string): string {
  return unit === 'Nm3' ? 'Nm³' : unit
}
