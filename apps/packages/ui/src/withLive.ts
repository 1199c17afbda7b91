import type { LiveNozzle, Nozzle } from '@forecourt/api-client'

/** A nozzle with what the stream just said of it. A device that tells no price leaves the book's. */
export function withLive(nozzle: Nozzle, live: LiveNozzle): Nozzle {
  return { ...nozzle, ...live, unit_price_e4: live.unit_price_e4 ?? nozzle.unit_price_e4 }
}
