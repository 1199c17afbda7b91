// One QR payment at the pillar: ask, show, watch, end.
import { asProblem, Intent, type Payment, type Problem } from '@forecourt/api-client'
import { onScopeDispose, ref, shallowRef } from 'vue'
import { api } from '../server'

const POLL_EVERY_MS = 2_000
const ENDED = new Set(['paid', 'closed', 'paid_late', 'failed'])

export function usePillarPayment(onEnded: (payment: Payment, nozzleNumber: number) => void) {
  const payment = shallowRef<Payment | null>(null)
  const nozzleNumber = ref(0)
  const problem = shallowRef<Problem | null>(null)
  const asking = ref(false)
  const asked = new Intent()
  let timer: ReturnType<typeof setTimeout> | undefined

  function take(next: Payment): void {
    clearTimeout(timer)
    if (ENDED.has(next.state)) {
      payment.value = null
      onEnded(next, nozzleNumber.value)
      return
    }
    payment.value = { ...payment.value, ...next }
    timer = setTimeout(() => void look(next.id), POLL_EVERY_MS)
  }

  /** The stream tells of a payment; it may be the one on the screen. */
  function hear(news: Payment): void {
    if (payment.value?.id === news.id) take(news)
  }

  /** Ask how the payment stands: the stream may be down. */
  async function look(id: string): Promise<void> {
    if (payment.value?.id !== id) return
    try {
      const next = await api.terminal.payment(id)
      if (payment.value?.id === id) take(next)
    } catch (thrown) {
      clearTimeout(timer)
      if (asProblem(thrown).isPassing) timer = setTimeout(() => void look(id), POLL_EVERY_MS)
      else problem.value = asProblem(thrown)
    }
  }

  async function attempt(ask: () => Promise<Payment>): Promise<void> {
    if (asking.value) return
    asking.value = true
    problem.value = null
    try {
      take(await ask())
    } catch (thrown) {
      problem.value = asProblem(thrown)
    } finally {
      asking.value = false
    }
  }

  function pay(saleId: string, atNozzle: number): Promise<void> {
    nozzleNumber.value = atNozzle
    const ask = { tender: 'wechat', product: 'native' } as const
    return attempt(() => asked.ask({ saleId }, (key) => api.terminal.pay(saleId, ask, key)))
  }

  function cancel(): Promise<void> {
    const id = payment.value?.id ?? ''
    return attempt(() => api.terminal.closePayment(id))
  }

  onScopeDispose(() => clearTimeout(timer))
  return { payment, nozzleNumber, problem, asking, pay, cancel, hear }
}
