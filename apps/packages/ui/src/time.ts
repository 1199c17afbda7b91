// Times are shown in the station's zone, never in the browser's.

const DAY_MS = 86_400_000
const formats = new Map<string, Intl.DateTimeFormat>()

function formatIn(timeZone: string): Intl.DateTimeFormat {
  let format = formats.get(timeZone)
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-GB', {
      timeZone,
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
      fractionalSecondDigits: 3,
      hourCycle: 'h23',
    })
    formats.set(timeZone, format)
  }
  return format
}

function partsOf(at: string, timeZone: string): Record<string, string> {
  return Object.fromEntries(
    formatIn(timeZone)
      .formatToParts(new Date(at))
      .map((part) => [part.type, part.value]),
  )
}

/** "11-22 18:05:09" in the station's zone. */
export function stationTime(at: string, timeZone: string): string {
  const part = partsOf(at, timeZone)
  return `${part['month']}-${part['day']} ${part['hour']}:${part['minute']}:${part['second']}`
}

/** "2026-11-22 18:05:09.250": for a timeline, where the order within a second matters. */
export function stationTimeExact(at: string, timeZone: string): string {
  const part = partsOf(at, timeZone)
  return `${part['year']}-${stationTime(at, timeZone)}.${part['fractionalSecond']}`
}

/** The instant at which this day of the calendar begins in a zone: "2026-11-22" → "2026-11-21T16:00:00.000Z". */
export function startOfDay(date: string, timeZone: string, daysLater = 0): string {
  const wall = Date.parse(`${date}T00:00:00Z`) + daysLater * DAY_MS
  // What the zone's clocks are ahead by is asked at the guess, then at the guess corrected once: midnight may be
  // the moment at which clocks change.
  let instant = wall
  for (let round = 0; round < 2; round += 1) instant = wall - aheadMs(instant, timeZone)
  return new Date(instant).toISOString()
}

function aheadMs(instant: number, timeZone: string): number {
  const part = partsOf(new Date(instant).toISOString(), timeZone)
  const wall = `${part['year']}-${part['month']}-${part['day']}T${part['hour']}:${part['minute']}:${part['second']}Z`
  return Date.parse(wall) - Math.floor(instant / 1000) * 1000
}

/** "4:05" of whole seconds left; never below zero. */
export function countdownText(leftS: number): string {
  const left = Math.max(0, Math.ceil(leftS))
  return `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`
}
