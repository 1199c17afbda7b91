// Runs one journey: every step is told as a line of JSON; the exit status is 1 when anything was wrong.
import { mkdir } from 'node:fs/promises'
import { axeFindings, openBrowser, tell } from '../browser.mjs'
import { settings } from './settings.mjs'

export async function run(journey, viewport) {
  const { browser, context, faults } = await openBrowser(settings.url, { viewport })
  const page = await context.newPage()
  page.setDefaultTimeout(settings.waitMs)
  const findings = []

  /** Look at the page as it stands: axe, and a picture where one is wanted. */
  async function look(name) {
    for (const finding of await axeFindings(page)) findings.push({ page: name, ...finding })
    if (settings.pictures) {
      await mkdir(settings.pictures, { recursive: true })
      await page.screenshot({ path: `${settings.pictures}/${name}.png` })
    }
  }

  try {
    await journey(page, look)
    tell('done', { axe: findings, faults })
    process.exitCode = findings.length + faults.length > 0 ? 1 : 0
  } catch (error) {
    if (settings.pictures) await page.screenshot({ path: `${settings.pictures}/failed.png` })
    tell('failed', { error: String(error.message ?? error), url: page.url(), axe: findings, faults })
    process.exitCode = 1
  } finally {
    await browser.close()
  }
}
