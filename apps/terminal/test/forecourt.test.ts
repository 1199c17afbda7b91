// What the pillar knows, fed by a stream and a picture that may cross each other.
import type { Nozzle, Sale, Terminal } from '@forecourt/api-client'
import { flushPromises } from '@vue/test-utils'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { effectScope, type EffectScope } from 'vue'
import { useForecourt } from '../src/pillar/useForecourt'

const terminal: Terminal = {
  terminal_id: 't',
  name: 'Pillar',
  station: { id: 'st', name: 'Station', timezone: 'Asia/Shanghai' },
  nozzles: [{ id: 'n1', number: 1 }],
}
const nozzle = (id: string, number: number, state: string) => ({ id, number, state, quantity_e4: 0 }) as Nozzle
const sale = (id: string, state: string) => ({ id, state, nozzle_id: 'n1', nozzle_number: 1, paid_fen: 100 }) as Sale

let scope: EffectScope
let out: ReadableStreamDefaultController<Uint8Array>
let releasePicture: () => void
let picture: { nozzles: Nozzle[]; sales: Sale[] }
const heard: string[] = []

async function send(type: string, data: unknown): Promise<void> {
  out.enqueue(new TextEncoder().encode(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`))
  await settled()
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await flushPromises()
}

beforeEach(() => {
  heard.length = 0
  picture = { nozzles: [nozzle('n1', 1, 'idle'), nozzle('n9', 9, 'idle')], sales: [sale('old', 'open')] }
  const released = new Promise<void>((resolve) => {
    releasePicture = resolve
  })
  vi.stubGlobal('fetch', async (request: Request | string) => {
    const path = typeof request === 'string' ? request : new URL(request.url).pathname
    if (path.includes('/stream?')) return new Response(new ReadableStream({ start: (controller) => void (out = controller) }))
    await released
    return Response.json({ items: path.endsWith('/forecourt') ? picture.nozzles : picture.sales, next_cursor: null })
  })
  scope = effectScope()
})

afterEach(() => scope.stop())

function start() {
  return scope.run(() =>
    useForecourt(terminal, {
      onNozzle: (after, before) => void heard.push(`nozzle ${before.state} > ${after.state}`),
      onSaleOpened: ({ id }) => void heard.push(`opened ${id}`),
      onSalePaid: ({ id }) => void heard.push(`paid ${id}`),
      onPayment: ({ id }) => void heard.push(`payment ${id}`),
    }),
  ) as ReturnType<typeof useForecourt>
}

describe('the pillar', () => {
  it('knows its own nozzles and open sales, and no others', async () => {
    const { nozzles, unpaid, known } = start()
    await settled()
    expect(known.value).toBe(false)
    releasePicture()
    await settled()
    expect([[...nozzles.keys()], [...unpaid.keys()], known.value]).toEqual([[1], ['old'], true])
    await send('nozzle', nozzle('n9', 9, 'fuelling'))
    expect([...nozzles.keys()]).toEqual([1])
  })

  it('applies what came while the picture was fetched after it, for it is newer', async () => {
    const { nozzles, unpaid } = start()
    await settled()
    await send('nozzle', nozzle('n1', 1, 'calling'))
    await send('sale', sale('old', 'paid'))
    expect(nozzles.size).toBe(0)
    releasePicture()
    await settled()
    expect(nozzles.get(1)?.state).toBe('calling')
    expect(unpaid.size).toBe(0)
    expect(nozzles.get(1)?.unpaid_count).toBe(0)
    expect(heard).toEqual(['nozzle idle > calling', 'paid old'])
  })

  it('celebrates only sales that it showed', async () => {
    const { unpaid } = start()
    releasePicture()
    await settled()
    await send('sale', sale('long ago', 'paid'))
    await send('sale', sale('new', 'open'))
    await send('sale', sale('new', 'paying'))
    await send('sale', sale('new', 'voided'))
    await send('sale', sale('old', 'paid'))
    expect(heard).toEqual(['opened new', 'paid old'])
    expect(unpaid.size).toBe(0)
  })

  it('passes on news of payments', async () => {
    start()
    releasePicture()
    await settled()
    await send('payment', { id: 'p1', state: 'paid' })
    expect(heard).toEqual(['payment p1'])
  })
})
