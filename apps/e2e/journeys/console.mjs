// Log in at a deep link, see the station live, watch a sale appear, open its timeline; pay it when a tender is named.
// FORECOURT_URL FORECOURT_ACCOUNT FORECOURT_PASSWORD [FORECOURT_TENDER=cash] [FORECOURT_WAIT_MS] [FORECOURT_PICTURES]
import { tell } from '../browser.mjs'
import { run } from './run.mjs'
import { settings } from './settings.mjs'

await run(async (page, look) => {
  await page.goto('/console/sales?size=50')
  await page.locator('#account').waitFor()
  await look('console-login')
  await page.locator('#account').fill(settings.account())
  await page.locator('#password').fill(settings.password())
  await page.locator('button[type=submit]').click()
  await page.waitForURL('**/console/sales?size=50')
  tell('logged_in')

  await page.goto('/console/stations')
  await page.locator('[data-nozzle]').first().waitFor()
  await page.locator('[data-live=live]').waitFor()
  tell('stations', { nozzles: await page.locator('[data-nozzle]').count() })
  await look('console-stations')

  await page.goto('/console/sales')
  // Rows wait while a pointer rests on them.
  await page.mouse.move(2, 2)
  await page.locator('[data-live=live]').waitFor()
  const before = await salesOn(page)
  tell('sales', { shown: before.length })
  await look('console-sales')

  const saleId = await newSale(page, before)
  tell('sale_appeared', { sale_id: saleId })
  await page.locator(`[data-sale="${saleId}"] a`).click()
  await page.locator('[data-kind=delivery]').first().waitFor()
  tell('timeline', { sale_id: saleId, kinds: await kindsOn(page) })
  await look('console-sale')

  if (settings.tender === 'cash') await payInCash(page, look, saleId)
})

function salesOn(page) {
  return page.locator('[data-sale]').evaluateAll((rows) => rows.map((row) => row.dataset.sale))
}

function kindsOn(page) {
  return page.locator('[data-kind]').evaluateAll((entries) => entries.map((entry) => entry.dataset.kind))
}

async function newSale(page, before) {
  const found = await page.waitForFunction(
    (known) => [...document.querySelectorAll('[data-sale]')].map((row) => row.dataset.sale).find((id) => !known.includes(id)),
    before,
  )
  return found.jsonValue()
}

async function payInCash(page, look, saleId) {
  await page.locator('.end .el-button--primary').click()
  await page.locator('#pay-amount').waitFor()
  await look('console-pay')
  await page.locator('.el-dialog .el-button--primary').click()
  await page.locator('[data-payment-state=paid]').waitFor()
  await page.locator('.el-dialog .el-button--primary').click()
  await page.locator('.sum').first().waitFor()
  tell('paid', { sale_id: saleId, kinds: await kindsOn(page) })
  await look('console-paid')
}
