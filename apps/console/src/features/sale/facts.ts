// Facts are shown by their names: the suffix says the unit (`_fen`, `_e4`, `_kpa`, `_at`, …).
import { exactText, moneyText, stationTimeExact, unitText } from '@forecourt/ui'

export interface FactContext {
  unit: string
  timezone: string
  yes: string
  no: string
}

const NOTHING = '—'
const E2_TO_E4 = 100
const SUFFIXES = [
  ['_kpa', 'kPa'],
  ['_percent', '%'],
  ['_s', 's'],
] as const

export function isNothing(value: unknown): boolean {
  return value === null || value === undefined || value === '' || (Array.isArray(value) && value.length === 0)
}

export function factText(name: string, value: unknown, context: FactContext): string {
  if (isNothing(value)) return NOTHING
  if (typeof value === 'boolean') return value ? context.yes : context.no
  if (typeof value === 'number') return numberText(name, value, context)
  if (Array.isArray(value)) return value.map((part) => factText(name, part, context)).join(', ')
  if (typeof value === 'object') return JSON.stringify(value)
  const text = String(value)
  return name.endsWith('_at') && !Number.isNaN(Date.parse(text)) ? stationTimeExact(text, context.timezone) : text
}

function numberText(name: string, value: number, { unit }: FactContext): string {
  if (!Number.isSafeInteger(value)) return String(value)
  if (name.endsWith('_fen')) return moneyText(value)
  if (name.endsWith('unit_price_e4')) return `¥${exactText(value)} / ${unitText(unit)}`
  if (name.endsWith('_e4')) return `${exactText(value)} ${unitText(unit)}`
  if (name.endsWith('_c_e2')) return `${exactText(value * E2_TO_E4)} °C`
  const suffix = SUFFIXES.find(([ending]) => name.endsWith(ending))
  return suffix === undefined ? String(value) : `${value} ${suffix[1]}`
}
