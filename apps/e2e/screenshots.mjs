// Pictures of every page in both languages and both themes, and axe on each. `npm run screenshots -- OUT_DIR`.
import { mkdir } from 'node:fs/promises'
import { axeFindings, openBrowser } from './browser.mjs'
import { ACCOUNT, CODE, Mock } from './mock/server.mjs'

const out = process.argv[2] ?? 'dist/screenshots'
const only = process.argv[3] ?? ''
const PILLAR = { width: 1024, height: 600 }
let failed = false

async function shoot(page, name) {
  await page.waitForTimeout(350)
  await page.screenshot({ path: `${out}/${name}.png` })
  const findings = await axeFindings(page)
  if (findings.length > 0) failed = true
  console.log(findings.length === 0 ? 'ok  ' : 'AXE ', name, findings.length > 0 ? JSON.stringify(findings, null, 1) : '')
}

async function consolePages(page, mock, base, tag) {
  await page.goto('/console/login?reason=expired')
  await shoot(page, `login-${tag}`)
  await page.locator('#account').fill(ACCOUNT.account)
  await page.locator('#password').fill('wrong')
  await page.locator('button[type=submit]').click()
  await page.locator('[role=alert]').waitFor()
  await shoot(page, `login-refused-${tag}`)
  await page.locator('#password').fill(ACCOUNT.password)
  await page.locator('button[type=submit]').click()
  await page.locator('[data-nozzle]').first().waitFor()
  await page.locator('[data-live=live]').waitFor()
  await shoot(page, `stations-${tag}`)
  await page.goto('/console/sales')
  await page.locator('[data-sale]').first().waitFor()
  await shoot(page, `sales-${tag}`)
  await page.goto('/console/sales?tender=wallet&state=open')
  await page.locator('.el-empty').waitFor()
  await shoot(page, `sales-empty-${tag}`)
  for (const [name, id] of [['paid', '0sale00000004'], ['marked', '0sale00000009']]) {
    await page.goto(`/console/sales/${id}`)
    await page.locator('[data-kind=delivery]').waitFor()
    await shoot(page, `sale-${name}-${tag}`)
  }
  await pay(page, mock, tag)
  await page.goto('/console/nowhere')
  await page.locator('.el-empty').waitFor()
  await shoot(page, `missing-${tag}`)
  mock.fault = 503
  await page.goto('/console/sales')
  await page.locator('[role=alert]').waitFor()
  await shoot(page, `unavailable-${tag}`)
  mock.fault = null
}

async function pay(page, mock, tag) {
  const sale = mock.openSale('stationport', 1, 325_000)
  await page.goto(`/console/sales/${sale.id}`)
  await page.locator('.end .el-button').click()
  await page.locator('#pay-received').fill('200')
  await shoot(page, `pay-cash-${tag}`)
  const ways = page.locator('.ways .el-radio-button')
  await ways.nth(1).click()
  await page.locator('#pay-member').fill('138')
  await page.locator('#pay-member').press('Enter')
  await page.locator('.member').first().click()
  await shoot(page, `pay-wallet-${tag}`)
  await ways.nth(3).click()
  await shoot(page, `pay-code-${tag}`)
  await ways.nth(2).click()
  await page.locator('.el-dialog .el-button--primary').click()
  await page.locator('.qr').waitFor()
  await shoot(page, `pay-qr-${tag}`)
  mock.settle([...mock.data.payments.keys()].at(-1), 'paid')
  await page.locator('[data-payment-state=paid]').waitFor()
  await shoot(page, `pay-done-${tag}`)
}

async function pillarPages(page, mock, base, tag) {
  const stage = (name) => page.locator(`main[data-stage=${name}]`).waitFor()
  const station = 'stationeast'
  for (const sale of mock.data.sales) if (sale.station_id === station) sale.state = 'paid'
  for (const number of [1, 2, 3]) mock.nozzle(station, number, { state: 'idle', unpaid_count: 0 })
  await page.goto('/device/pillar')
  await page.locator('.enrol').waitFor()
  await page.locator('.keys button').nth(10).click()
  await shoot(page, `enrol-${tag}`)
  await page.keyboard.press('Backspace')
  await page.keyboard.type(CODE)
  await page.locator('.enrol .primary').click()
  await stage('idle')
  await shoot(page, `pillar-idle-${tag}`)
  mock.nozzle(station, 2, { state: 'calling', quantity_e4: 0, amount_fen: 0 })
  await stage('lifted')
  await shoot(page, `pillar-lifted-${tag}`)
  mock.nozzle(station, 2, { state: 'fuelling', quantity_e4: 254_800, amount_fen: 20_002 })
  await stage('fuelling')
  await shoot(page, `pillar-fuelling-${tag}`)
  mock.nozzle(station, 2, { state: 'idle' })
  mock.openSale(station, 2, 254_800, '0live00000001')
  await stage('pay')
  await shoot(page, `pillar-pay-${tag}`)
  mock.openSale(station, 2, 99_000, '0live00000002')
  await page.locator('ul li').nth(1).waitFor()
  await shoot(page, `pillar-pay-several-${tag}`)
  await page.locator('[data-action=pay]').click()
  await stage('qr')
  await shoot(page, `pillar-qr-${tag}`)
  mock.settle([...mock.data.payments.keys()].at(-1), 'paid')
  await stage('paid')
  await shoot(page, `pillar-paid-${tag}`)
  await page.locator('.end button').click()
  await page.locator('[data-action=pay]').click()
  await stage('qr')
  mock.settle([...mock.data.payments.keys()].at(-1), 'failed')
  await stage('failed')
  await shoot(page, `pillar-failed-${tag}`)
  await page.locator('[data-tab="3"]').click()
  mock.nozzle(station, 3, { state: 'error' })
  await stage('fault')
  await shoot(page, `pillar-fault-${tag}`)
  mock.nozzle(station, 3, { state: 'offline' })
  mock.fault = 503
  mock.cut()
  await page.locator('.banner').waitFor()
  await shoot(page, `pillar-offline-${tag}`)
  mock.fault = null
}

await mkdir(out, { recursive: true })
for (const colorScheme of ['light', 'dark']) {
  for (const locale of ['zh-CN', 'en']) {
    for (const [name, run, viewport] of [['console', consolePages, undefined], ['pillar', pillarPages, PILLAR]]) {
      if (only && only !== name) continue
      const mock = new Mock()
      const base = await mock.listen()
      const { browser, context, faults } = await openBrowser(base, { colorScheme, viewport })
      const page = await context.newPage()
      page.setDefaultTimeout(8_000)
      const tag = `${locale}-${colorScheme}`
      await page.addInitScript((value) => localStorage.setItem('forecourt.locale', value), locale)
      try {
        await run(page, mock, base, tag)
      } catch (error) {
        failed = true
        console.log('FAIL', tag, error.message)
        await page.screenshot({ path: `${out}/FAILED-${name}-${tag}.png` })
      }
      for (const fault of faults) {
        failed = true
        console.log('FAULT', tag, fault)
      }
      await browser.close()
      await mock.close()
    }
  }
}
process.exitCode = failed ? 1 : 0
