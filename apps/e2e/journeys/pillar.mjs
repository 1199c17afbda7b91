// Enrol the pillar, follow a fill, show its QR, see it paid. Whoever started this lets the nozzle flow and pays the
// QR: the `qr` line names the payment.
// FORECOURT_URL FORECOURT_ENROLMENT_CODE [FORECOURT_WAIT_MS] [FORECOURT_PICTURES]
import { tell } from '../browser.mjs'
import { run } from './run.mjs'
import { settings } from './settings.mjs'

await run(
  async (page, look) => {
    const stage = (name) => page.locator(`main[data-stage=${name}]`)
    await page.goto('/device/pillar')
    await page.locator('.enrol').waitFor()
    await look('pillar-enrol')
    await page.keyboard.type(settings.enrolmentCode())
    await page.locator('.enrol .primary').click()
    await page.locator('main[data-stage]').waitFor()
    tell('enrolled', { nozzles: await page.locator('[data-tab]').evaluateAll((tabs) => tabs.map((tab) => Number(tab.dataset.tab))) })
    await look('pillar-idle')

    await stage('fuelling').or(stage('pay')).first().waitFor()
    if (await stage('fuelling').isVisible()) {
      tell('fuelling', { quantity: await page.locator('[data-figure=quantity]').textContent() })
      await look('pillar-fuelling')
    }
    await stage('pay').waitFor()
    tell('to_pay', { due: await page.locator('[data-figure=due]').textContent() })
    await look('pillar-pay')

    const answered = page.waitForResponse((response) => /\/device\/sales\/\w+\/payments$/.test(new URL(response.url()).pathname))
    await page.locator('[data-action=pay]').click()
    const payment = await (await answered).json()
    await stage('qr').waitFor()
    await page.locator('.code img').waitFor()
    tell('qr', { payment_id: payment.id, amount_fen: payment.amount_fen, qr_text: payment.qr_text ?? null })
    await look('pillar-qr')

    await stage('paid').waitFor()
    tell('paid', { payment_id: payment.id })
    await look('pillar-paid')
  },
  { width: 1024, height: 600 },
)
