// What a person needs to know of a nozzle: twelve device states become eight pictures.

export type Phase = 'idle' | 'lifted' | 'fuelling' | 'ended' | 'unpaid' | 'closed' | 'offline' | 'fault'

const PHASES: Readonly<Record<string, Phase>> = {
  offline: 'offline',
  closed: 'closed',
  idle: 'idle',
  calling: 'lifted',
  authorised: 'lifted',
  started: 'fuelling',
  fuelling: 'fuelling',
  suspended: 'fuelling',
  ended: 'ended',
  locked: 'closed',
  error: 'fault',
}

/** What is happening at the nozzle now; money waiting shows only when nothing else does. */
export function phaseOf(nozzle: { state: string; unpaid_count: number }): Phase {
  const phase = PHASES[nozzle.state] ?? 'fault'
  return nozzle.unpaid_count > 0 && (phase === 'idle' || phase === 'ended') ? 'unpaid' : phase
}

/** The message that names a nozzle's state: a car is plugged in and charged, not lifted and fuelled. */
export function stateKey(nozzle: { state: string; energy: string }): string {
  return nozzle.energy === 'ev' ? `connectorState.${nozzle.state}` : `nozzleState.${nozzle.state}`
}
