// The one way to the server, and the one place that hears that nobody is logged in any more.
import { createApi } from '@forecourt/api-client'

let loggedOut: () => void = () => undefined

export const api = createApi({ baseUrl: globalThis.location.origin, onUnauthenticated: () => loggedOut() })

export function whenLoggedOut(act: () => void): void {
  loggedOut = act
}
