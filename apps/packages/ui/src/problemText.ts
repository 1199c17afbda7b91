// A refusal in the reader's language: its own sentence if the code is known, else one for its status.
import type { Problem } from '@forecourt/api-client'

type Translate = (key: string, named?: Record<string, unknown>) => string

export function problemText(problem: Problem, t: Translate, te: (key: string) => boolean): string {
  const known = `problem.${problem.code}`
  if (te(known)) return t(known, { ...problem.facts })
  const byStatus = `problem.status.${problem.status}`
  if (te(byStatus)) return t(byStatus)
  return t(problem.status >= 500 ? 'problem.status.500' : 'problem.status.400')
}
