// A payment on the console, from the press of the button to its end, over a server that loses answers.
import { flushPromises, mount } from '@vue/test-utils'
import type { Payment, Sale } from '@forecourt/api-client'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import PayDialog from '../src/features/sale/pay/PayDialog.vue'
import { i18n } from '../src/i18n'

const sale = { id: 's1', due_fen: 20_000, paid_fen: 5_000 } as Sale
const waiting: Partial<Payment> = { id: 'p1', state: 'pending', tender: 'wechat', product: 'native', amount_fen: 15_000, qr_svg: '<svg/>' }
const asked: { url: string; key: string | null; body: unknown }[] = []
let answers: (() => Response | Promise<Response>)[] = []

const yes = (payment: Partial<Payment>, status = 202) => () => Response.json(payment, { status })
const lost = () => Promise.reject<Response>(new TypeError('fetch failed'))

beforeEach(() => {
  vi.useFakeTimers()
  asked.length = 0
  i18n.global.locale.value = 'en'
  vi.stubGlobal('fetch', async (request: Request) => {
    const text = await request.text()
    asked.push({ url: new URL(request.url).pathname, key: request.headers.get('idempotency-key'), body: text ? JSON.parse(text) : null })
    return (answers.shift() ?? expect.unreachable())()
  })
})

afterEach(() => {
  vi.useRealTimers()
  document.body.innerHTML = ''
})

async function opened() {
  const dialog = mount(PayDialog, { props: { sale, modelValue: false }, global: { plugins: [i18n] }, attachTo: document.body })
  await dialog.setProps({ modelValue: true })
  await settled()
  return dialog
}

async function settled(): Promise<void> {
  await vi.advanceTimersByTimeAsync(50)
  await flushPromises()
}

const text = (): string => document.body.textContent ?? ''
const press = async (label: string): Promise<void> => {
  const found = [...document.querySelectorAll<HTMLElement>('.el-dialog button, .el-dialog label')].find((one) => one.textContent?.includes(label))
  ;(found ?? expect.unreachable(`no button ${label}`)).click()
  await settled()
}

describe('PayDialog', () => {
  it('takes what is left to pay, in cash', async () => {
    answers = [yes({ ...waiting, state: 'paid', tender: 'cash' }, 201)]
    const dialog = await opened()
    await press('Take ¥150.00 in cash')
    expect(asked).toEqual([{ url: '/api/v1/sales/s1/payments', key: expect.stringMatching(/^[0-9a-f]{32}$/), body: { tender: 'cash', amount_fen: 15_000 } }])
    expect(text()).toContain('Paid')
    expect(dialog.emitted('settled')).toHaveLength(1)
  })

  it('asks again with the same key when the answer was lost', async () => {
    answers = [lost, yes({ ...waiting, state: 'paid' }, 201)]
    await opened()
    await press('in cash')
    expect(text()).toContain('cannot be reached')
    await press('in cash')
    expect(new Set(asked.map(({ key }) => key)).size).toBe(1)
    expect(text()).toContain('Paid')
  })

  it('shows the QR and polls until it is paid, through a broken line', async () => {
    answers = [yes(waiting), lost, yes({ ...waiting, qr_svg: undefined }, 200), yes({ ...waiting, state: 'paid' }, 200)]
    const dialog = await opened()
    await press('WeChat QR')
    await press('Show QR')
    expect(document.querySelector('img')?.getAttribute('src')).toContain('data:image/svg+xml')
    for (let poll = 0; poll < 3; poll += 1) await vi.advanceTimersByTimeAsync(2_000)
    await settled()
    expect(document.querySelector('[data-payment-state]')?.getAttribute('data-payment-state')).toBe('paid')
    expect(dialog.emitted('settled')).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(asked).toHaveLength(4)
  })

  it('does not close over a live QR, but ends it first', async () => {
    answers = [yes(waiting), yes({ ...waiting, state: 'closed' }, 200)]
    const dialog = await opened()
    await press('WeChat QR')
    await press('Show QR')
    document.querySelector<HTMLElement>('.el-dialog__headerbtn')?.click()
    await settled()
    expect(dialog.emitted('update:modelValue')).toBeUndefined()
    await press('Cancel payment')
    expect(asked.at(-1)?.url).toBe('/api/v1/payments/p1/close')
    expect(text()).toContain('Closed')
  })

  it('refuses to take more than is left', async () => {
    await opened()
    const input = document.querySelector<HTMLInputElement>('#pay-amount')
    Object.assign(input ?? {}, { value: '150.01' })
    input?.dispatchEvent(new Event('input'))
    await settled()
    expect(text()).toContain('Only ¥150.00 is left')
    await press('in cash')
    expect(asked).toEqual([])
  })
})
