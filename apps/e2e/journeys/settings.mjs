// What a journey is told by its environment.

function need(name) {
  const value = process.env[name]
  if (!value) throw new Error(`set ${name}`)
  return value
}

export const settings = {
  url: need('FORECOURT_URL'),
  waitMs: Number(process.env.FORECOURT_WAIT_MS ?? 60_000),
  pictures: process.env.FORECOURT_PICTURES ?? '',
  account: () => need('FORECOURT_ACCOUNT'),
  password: () => need('FORECOURT_PASSWORD'),
  enrolmentCode: () => need('FORECOURT_ENROLMENT_CODE'),
  tender: process.env.FORECOURT_TENDER ?? '',
}
