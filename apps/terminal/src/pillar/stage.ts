// What the pillar shows for one nozzle: one table from top to bottom, the first that applies.
import type { Nozzle, Payment, Sale } from '@forecourt/api-client'

export type Stage = 'paid' | 'failed' | 'qr' | 'fault' | 'fuelling' | 'lifted' | 'pay' | 'offline' | 'closed' | 'idle'

/** How a payment or a sale at this nozzle ended, shown for a while. */
export interface Ending {
  /** `late`: money came after the end; it goes back by itself. */
  outcome: 'paid' | 'failed' | 'late'
  amountFen: number
}

export interface Scene {
  nozzle: Nozzle | null
  unpaid: readonly Sale[]
  payment: Payment | null
  ending: Ending | null
  /** The customer asked for the bills while somebody fuels. */
  wantsBills: boolean
}

const FLOWING = new Set(['started', 'fuelling', 'suspended'])
const LIFTED = new Set(['calling', 'authorised'])
const CLOSED = new Set(['closed', 'locked'])

const TABLE: readonly (readonly [Stage, (scene: Scene) => boolean])[] = [
  ['paid', ({ ending }) => ending?.outcome === 'paid'],
  ['failed', ({ ending }) => ending !== null],
  ['qr', ({ payment }) => payment !== null],
  ['pay', ({ unpaid, wantsBills }) => wantsBills && unpaid.length > 0],
  ['fuelling', ({ nozzle }) => FLOWING.has(nozzle?.state ?? '')],
  ['lifted', ({ nozzle }) => LIFTED.has(nozzle?.state ?? '')],
  ['pay', ({ unpaid }) => unpaid.length > 0],
  ['fault', ({ nozzle }) => nozzle?.state === 'error'],
  ['offline', ({ nozzle }) => nozzle === null || nozzle.state === 'offline'],
  ['closed', ({ nozzle }) => CLOSED.has(nozzle?.state ?? '')],
]

export function stageOf(scene: Scene): Stage {
  return TABLE.find(([, applies]) => applies(scene))?.[0] ?? 'idle'
}
