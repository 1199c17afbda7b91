// Money is whole fen. Text is made by integer arithmetic; nothing here divides.

const YUAN = /^(0|[1-9]\d{0,10})(?:\.(\d{1,2}))?$/

/** 123456789 → "1,234,567.89"; -5 → "-0.05". */
export function yuanText(amountFen: number): string {
  const digits = String(Math.abs(amountFen)).padStart(3, '0')
  const yuan = digits.slice(0, -2).replace(/\B(?=(\d{3})+$)/g, ',')
  return `${amountFen < 0 ? '-' : ''}${yuan}.${digits.slice(-2)}`
}

/** With the currency sign, the minus before it: -5 → "-¥0.05". */
export function moneyText(amountFen: number): string {
  return amountFen < 0 ? `-¥${yuanText(-amountFen)}` : `¥${yuanText(amountFen)}`
}

/** Fen of "200", "200.0" or "200.00"; null when it is not an amount of yuan. */
export function parseYuan(text: string): number | null {
  const match = YUAN.exec(text.trim())
  if (match === null) return null
  return Number(match[1]) * 100 + Number((match[2] ?? '').padEnd(2, '0'))
}
