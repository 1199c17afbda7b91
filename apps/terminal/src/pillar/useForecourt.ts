// What the pillar knows: its nozzles as they are, and the sales that wait for money. Live, resumed after a break.
import { asProblem, type LiveNozzle, type Nozzle, type Payment, type Sale, type Terminal } from '@forecourt/api-client'
import { useStream, withLive } from '@forecourt/ui'
import { onScopeDispose, reactive, ref } from 'vue'
import { api } from '../server'

const RETRY_EVERY_MS = 3_000
const WAITS = new Set(['open', 'paying'])

export interface ForecourtEvents {
  onNozzle: (nozzle: Nozzle, before: Nozzle) => void
  onSaleOpened: (sale: Sale) => void
  /** A sale that was shown here is paid, by whatever way. */
  onSalePaid: (sale: Sale) => void
  onPayment: (payment: Payment) => void
}

export function useForecourt(terminal: Terminal, events: ForecourtEvents) {
  const nozzles = reactive(new Map<number, Nozzle>())
  const unpaid = reactive(new Map<string, Sale>())
  /** Events that came while the whole picture was being fetched; they are newer than it. */
  let queue: (() => void)[] | null = null
  let timer: ReturnType<typeof setTimeout> | undefined
  const known = ref(false)
  const mine = terminal.nozzles.map((nozzle) => nozzle.id)

  function takeNozzle(live: LiveNozzle): void {
    const before = [...nozzles.values()].find((nozzle) => nozzle.id === live.id)
    if (before === undefined) return
    const after = withLive(before, live)
    nozzles.set(after.number, after)
    events.onNozzle(after, before)
  }

  /** The stream tells sales and nozzles apart; the tabs show both. */
  function countUnpaid(): void {
    for (const nozzle of nozzles.values()) {
      nozzle.unpaid_count = [...unpaid.values()].filter((sale) => sale.nozzle_id === nozzle.id).length
    }
  }

  function takeSale(sale: Sale): void {
    const shown = unpaid.has(sale.id)
    if (WAITS.has(sale.state)) {
      unpaid.set(sale.id, sale)
      countUnpaid()
      if (!shown) events.onSaleOpened(sale)
      return
    }
    unpaid.delete(sale.id)
    countUnpaid()
    if (shown && sale.state === 'paid') events.onSalePaid(sale)
  }

  async function fetchAll(): Promise<void> {
    clearTimeout(timer)
    queue ??= []
    try {
      const [nozzlePage, salePage] = await Promise.all([api.stations.nozzles(terminal.station.id), api.terminal.openSales(mine)])
      for (const nozzle of nozzlePage.items) if (mine.includes(nozzle.id)) nozzles.set(nozzle.number, nozzle)
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
    nozzle: (data) => takeNozzle(data as LiveNozzle),
    sale: (data) => takeSale(data as Sale),
    payment: (data) => events.onPayment(data as Payment),
    lost: () => void fetchAll(),
  }

  const line = useStream({
    url: () => `/api/v1/device/stream?${new URLSearchParams(mine.map((id) => ['nozzle_id', id]))}`,
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
