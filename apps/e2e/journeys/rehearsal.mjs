// Both journeys over the made-up server: proves the journeys, not the product.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { ACCOUNT, CODE, Mock } from '../mock/server.mjs'

const STATION = 'stationeast'

async function rehearse(name, react) {
  const mock = new Mock()
  const url = await mock.listen()
  const child = spawn(process.execPath, [fileURLToPath(new URL(`${name}.mjs`, import.meta.url))], {
    env: {
      ...process.env,
      FORECOURT_URL: url,
      FORECOURT_ACCOUNT: ACCOUNT.account,
      FORECOURT_PASSWORD: ACCOUNT.password,
      FORECOURT_ENROLMENT_CODE: CODE,
      FORECOURT_TENDER: 'cash',
      FORECOURT_WAIT_MS: '10000',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  for await (const line of createInterface({ input: child.stdout })) {
    console.log(name, line)
    react(mock, JSON.parse(line))
  }
  if (child.exitCode === null) await new Promise((resolve) => child.once('exit', resolve))
  await mock.close()
  if (child.exitCode !== 0) process.exitCode = 1
}

await rehearse('console', (mock, { step }) => {
  if (step === 'sales') mock.openSale(STATION, 2, 254_800)
})
await rehearse('pillar', (mock, { step, payment_id }) => {
  if (step === 'enrolled') {
    for (const sale of mock.data.sales) if (sale.station_id === STATION) sale.state = 'paid'
    mock.nozzle(STATION, 2, { state: 'fuelling', quantity_e4: 254_800, amount_fen: 20_002 })
  }
  if (step === 'fuelling') {
    mock.nozzle(STATION, 2, { state: 'idle' })
    mock.openSale(STATION, 2, 254_800)
  }
  if (step === 'qr') mock.settle(payment_id, 'paid')
})
