// One payment from the press of the button to its end; a lost answer is asked for again, never paid again.
import { asProblem, Intent, type Payment, type PaymentAsk, type PaymentState, type Problem } from '@forecourt/api-client'
import { computed, onScopeDispose, ref, shallowRef } from 'vue'
import { api } from '../../../server'

const POLL_EVERY_MS = 2_000
const ENDED: ReadonlySet<PaymentState> = new Set(['paid', 'closed', 'paid_late', 'failed'])

export function usePayment(onEnded: (payment: Payment) => void) {
  const payment = shallowRef<Payment | null>(null)
  const problem = shallowRef<Problem | null>(null)
  const asking = ref(false)
  const ended = computed(() => payment.value !== null && ENDED.has(payment.value.state))
  const asked = new Intent()
  let timer: ReturnType<typeof setTimeout> | undefined

  function take(next: Payment): void {
    clearTimeout(timer)
    payment.value = { ...payment.value, ...next }
    if (ENDED.has(next.state)) onEnded(next)
    else timer = setTimeout(() => void poll(next.id), POLL_EVERY_MS)
  }

  async function poll(id: string): Promise<void> {
    try {
      const next = await api.payments.read(id)
      if (payment.value?.id === id) take(next)
    } catch (thrown) {
      if (payment.value?.id !== id) return
      if (asProblem(thrown).isPassing) timer = setTimeout(() => void poll(id), POLL_EVERY_MS)
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

  function pay(saleId: string, ask: PaymentAsk): Promise<void> {
    return attempt(() => asked.ask({ saleId, ask }, (key) => api.sales.pay(saleId, ask, key)))
  }

  function close(): Promise<void> {
    const id = payment.value?.id ?? ''
    return attempt(() => api.payments.close(id))
  }

  function forget(): void {
    clearTimeout(timer)
    payment.value = null
    problem.value = null
  }

  onScopeDispose(() => clearTimeout(timer))
  return { payment, problem, asking, ended, pay, close, forget }
}
