// Who is logged in, and what this person may do.
import { asProblem, type Credentials, type Session } from '@forecourt/api-client'
import { shallowRef } from 'vue'
import { api } from './server'

/** The server's permission codes that the screens look at. */
export const MAY = {
  seeSales: 'sales:read',
  seeStations: 'sites:read',
  takePayments: 'sales:take',
} as const

export const session = shallowRef<Session | null>(null)

/** Ask who is logged in. Throws a `Problem` when the server gives no clear answer. */
export async function findSession(): Promise<Session | null> {
  try {
    session.value = await api.session.read()
  } catch (thrown) {
    const problem = asProblem(thrown)
    if (problem.status !== 401) throw problem
    session.value = null
  }
  return session.value
}

export async function logIn(credentials: Credentials): Promise<void> {
  session.value = await api.session.open(credentials)
}

export async function logOut(): Promise<void> {
  await api.session.close()
  session.value = null
}

export function may(permission: string): boolean {
  return session.value?.permissions.includes(permission) ?? false
}
