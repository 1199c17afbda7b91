// Headless Chromium for screenshots and journeys. It fails on requests to other origins and on script errors.
import { createRequire } from 'node:module'
import { readFile } from 'node:fs/promises'
import { chromium } from 'playwright-core'

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js')
const CHROMIUM = process.env.FORECOURT_CHROMIUM ?? '/usr/bin/chromium'

/** @returns a browser context at `baseUrl`, with `faults` filled as they happen. */
export async function openBrowser(baseUrl, options = {}) {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] })
  const context = await browser.newContext({
    baseURL: baseUrl,
    viewport: options.viewport ?? { width: 1366, height: 860 },
    colorScheme: options.colorScheme ?? 'light',
    locale: 'zh-CN',
    // The pages' own policy forbids scripts that are not theirs; axe is ours.
    bypassCSP: options.bypassCSP ?? false,
  })
  const faults = []
  const origin = new URL(baseUrl).origin
  context.on('request', (request) => {
    const url = request.url()
    if (!url.startsWith(origin) && !/^(data|blob):/.test(url)) faults.push(`request to another origin: ${url}`)
  })
  context.on('weberror', (error) => faults.push(`script error: ${error.error().stack ?? error.error()}`))
  context.on('console', (message) => {
    // A refused request is also logged by the browser; the journeys judge answers themselves.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      faults.push(`console error: ${message.text()}`)
    }
  })
  return { browser, context, faults }
}

/** Serious and critical findings of axe on the page as it stands. */
export async function axeFindings(page) {
  await stillness(page)
  await page.evaluate(await readFile(AXE, 'utf8'))
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }))
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, impact, nodes }) => ({
      id,
      impact,
      nodes: nodes.map((node) => `${node.target.join(' ')}: ${node.failureSummary?.split('\n')[1]?.trim() ?? ''}`),
    }))
}

/** Half-faded text has half its contrast: wait until what moves and ends has ended. */
function stillness(page) {
  return page.evaluate(async () => {
    for (let frame = 0; frame < 2; frame += 1) await new Promise((resolve) => requestAnimationFrame(resolve))
    const ending = document.getAnimations().filter((one) => one.effect?.getComputedTiming().endTime !== Infinity)
    await Promise.allSettled(ending.map((one) => one.finished))
  })
}

/** One JSON object a line: what a program that started this journey reads. */
export function tell(step, facts = {}) {
  process.stdout.write(`${JSON.stringify({ step, ...facts })}\n`)
}
