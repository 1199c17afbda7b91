// The one way to the server, and the one place that hears that this screen is no longer known.
import { createApi } from '@forecourt/api-client'

let forgotten: () => void = () => undefined

export const api = createApi({ baseUrl: globalThis.location.origin, onUnauthenticated: () => forgotten() })

export function whenForgotten(act: () => void): void {
  forgotten = act
}
