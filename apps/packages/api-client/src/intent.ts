// One press of a money button is one intent. Its key is sent with every try until the server has said yes or no,
// so a lost answer never becomes a second payment.
import { asProblem } from './problem'

const KEY_BYTES = 16

/** 32 hexadecimal characters; `crypto.randomUUID` is missing on plain-HTTP origins, `getRandomValues` is not. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(KEY_BYTES))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Holds the key of the request that is under way, or whose fate is unknown. */
export class Intent {
  #request = ''
  #key = ''

  /** Ask with the key of this request: the same one for the same request until its fate is known. */
  async ask<Answer>(request: unknown, ask: (key: string) => Promise<Answer>): Promise<Answer> {
    const text = JSON.stringify(request)
    if (this.#key === '' || this.#request !== text) {
      this.#request = text
      this.#key = newKey()
    }
    try {
      const answer = await ask(this.#key)
      this.#key = ''
      return answer
    } catch (thrown) {
      const problem = asProblem(thrown)
      if (!problem.isPassing) this.#key = ''
      throw problem
    }
  }
}
