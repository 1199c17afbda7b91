// What the pillar knows: its nozzles as they are, and the sales that wait for money. Live, resumed after a break.
import { asProblem, type Nozzle, type Sale, type Terminal } from '@forecourt/api-client'
import { useStream } from '@forecourt/ui'
import { onScopeDispose, reactive, ref } from 'vue'
import { api } from '../server'

const RETRY_EVERY_MS = 3_000
const WAITS = new Set(['open', 'paying'])

export interface ForecourtEvents {
  onNozzle: (nozzle: Nozzle, before: Nozzle | undefined) => void
  onSaleOpened: (sale: Sale) => void
  /** A sale that was shown here is paid, by whatever way. */
  onSalePaid: (sale: Sale) => void
  onPayment: (payment: { id: string; state: string }) => void
}

export function useForecourt(terminal: Terminal, events: ForecourtEvents) {
  const nozzles = reactive(new Map<number, Nozzle>())
  const unpaid = reactive(new Map<string, Sale>())
  /** Events that came while the whole picture was being fetched; they are newer than it. */
  let queue: (() => void)[] | null = null
  let timer: ReturnType<typeof setTimeout> | undefined
  const known = ref(false)
  const mine = new Set(terminal.nozzles.map((nozzle) => nozzle.id))

  function takeNozzle(live: Nozzle): void {
    if (!mine.has(live.id)) return
    const before = nozzles.get(live.number)
    const after = { ...before, ...live }
    nozzles.set(live.number, after)
    events.onNozzle(after, before)
  }

  function takeSale(sale: Sale): void {
    const shown = unpaid.has(sale.id)
    if (WAITS.has(sale.state)) {
      unpaid.set(sale.id, sale)
      if (!shown) events.onSaleOpened(sale)
      return
    }
    unpaid.delete(sale.id)
    if (shown && sale.state === 'paid') events.onSalePaid(sale)
  }

  async function fetchAll(): Promise<void> {
    clearTimeout(timer)
    queue ??= []
    try {
      const [nozzlePage, salePage] = await Promise.all([api.stations.nozzles(terminal.station.id), api.terminal.openSales()])
      for (const nozzle of nozzlePage.items) if (mine.has(nozzle.id)) nozzles.set(nozzle.number, nozzle)
      unpaid.clear()
      for (const sale of salePage.items) unpaid.set(sale.id, sale)
      known.value = true
    } catch (thrown) {
      if (asProblem(thrown).isPassing) timer = setTimeout(() => void fetchAll(), RETRY_EVERY_MS)
    }
    const late = queue ?? []
    queue = null
    for (const take of late) take()
  }

  const take: Record<string, (data: unknown) => void> = {
    nozzle: (data) => takeNozzle(data as Nozzle),
    sale: (data) => takeSale(data as Sale),
    payment: (data) => events.onPayment(data as { id: string; state: string }),
  }

  const line = useStream({
    url: () => '/api/v1/device/stream',
    onOpen: () => void fetchAll(),
    onEvent: (type, data) => {
      const act = take[type]
      if (act === undefined) return
      if (queue === null) act(data)
      else queue.push(() => act(data))
    },
    onRefused: () => globalThis.location.reload(),
  })

  onScopeDispose(() => clearTimeout(timer))
  return { nozzles, unpaid, line, known }
}
