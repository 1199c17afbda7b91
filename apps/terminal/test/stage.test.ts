import type { Nozzle, NozzleState, Payment, Sale } from '@forecourt/api-client'
import { describe, expect, it } from 'vitest'
import { stageOf, type Scene } from '../src/pillar/stage'

const at = (state: NozzleState, more: Partial<Scene> = {}): Scene => ({
  nozzle: { state } as Nozzle,
  unpaid: [],
  payment: null,
  ending: null,
  wantsBills: false,
  ...more,
})
const bill = [{ id: 's' } as Sale]
const payment = { id: 'p' } as Payment

describe('the stage of a nozzle', () => {
  it.each([
    ['idle', at('idle')],
    ['idle', at('ended')],
    ['lifted', at('calling')],
    ['lifted', at('authorised')],
    ['fuelling', at('started')],
    ['fuelling', at('fuelling')],
    ['fuelling', at('suspended')],
    ['closed', at('closed')],
    ['closed', at('locked')],
    ['offline', at('offline')],
    ['fault', at('error')],
  ])('is %s by its own state', (stage, scene) => expect(stageOf(scene)).toBe(stage))

  it('asks for money whatever the idle nozzle is', () => {
    for (const state of ['idle', 'ended', 'closed', 'offline', 'error'] as const) expect(stageOf(at(state, { unpaid: bill }))).toBe('pay')
  })

  it('shows the meter before old bills, unless they are asked for', () => {
    expect(stageOf(at('fuelling', { unpaid: bill }))).toBe('fuelling')
    expect(stageOf(at('fuelling', { unpaid: bill, wantsBills: true }))).toBe('pay')
    expect(stageOf(at('fuelling', { wantsBills: true }))).toBe('fuelling')
  })

  it('keeps a live QR in front of everything but its end', () => {
    expect(stageOf(at('fuelling', { unpaid: bill, payment }))).toBe('qr')
    expect(stageOf(at('fuelling', { payment, ending: { outcome: 'paid', amountFen: 1 } }))).toBe('paid')
    expect(stageOf(at('idle', { ending: { outcome: 'late', amountFen: 1 } }))).toBe('failed')
  })

  it('is offline for a nozzle nobody has heard of', () => {
    expect(stageOf({ ...at('idle'), nozzle: null })).toBe('offline')
  })
})
