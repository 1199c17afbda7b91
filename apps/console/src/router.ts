// The pages, and who may open them.
import { asProblem } from '@forecourt/api-client'
import { createRouter, createWebHistory, type RouteLocationNormalized, type RouteLocationRaw } from 'vue-router'
import { shallowRef } from 'vue'
import type { Problem } from '@forecourt/api-client'
import { queryClient } from './queries'
import { whenLoggedOut } from './server'
import { findSession, may, MAY, session } from './session'

declare module 'vue-router' {
  interface RouteMeta {
    /** Key of the page's title. */
    title: string
    public?: boolean
    permission?: string
  }
}

/** Why the first page could not be opened: the server gave no answer. */
export const startProblem = shallowRef<Problem | null>(null)

export const router = createRouter({
  history: createWebHistory('/console/'),
  routes: [
    {
      path: '/login',
      name: 'login',
      component: () => import('./features/login/LoginPage.vue'),
      meta: { title: 'title.login', public: true },
    },
    { path: '/', redirect: () => (may(MAY.seeStations) ? { name: 'stations' } : { name: 'sales' }) },
    {
      path: '/stations/:stationId?',
      name: 'stations',
      component: () => import('./features/stations/StationsPage.vue'),
      meta: { title: 'title.stations', permission: MAY.seeStations },
    },
    {
      path: '/sales',
      name: 'sales',
      component: () => import('./features/sales/SalesPage.vue'),
      meta: { title: 'title.sales', permission: MAY.seeSales },
    },
    {
      path: '/sales/:saleId',
      name: 'sale',
      component: () => import('./features/sale/SalePage.vue'),
      meta: { title: 'title.sale', permission: MAY.seeSales },
    },
    {
      path: '/forbidden',
      name: 'forbidden',
      component: () => import('./shell/ForbiddenPage.vue'),
      meta: { title: 'title.forbidden' },
    },
    {
      path: '/:rest(.*)*',
      name: 'missing',
      component: () => import('./shell/MissingPage.vue'),
      meta: { title: 'title.missing' },
    },
  ],
})

function toLogin(to: RouteLocationNormalized, reason?: string): RouteLocationRaw {
  return { name: 'login', query: { return_to: (to.redirectedFrom ?? to).fullPath, ...(reason ? { reason } : {}) } }
}

router.beforeEach(async (to) => {
  if (to.meta.public) return true
  if (session.value === null) {
    try {
      if ((await findSession()) === null) return toLogin(to)
      startProblem.value = null
    } catch (thrown) {
      startProblem.value = asProblem(thrown)
      return false
    }
    // The start page depends on who this is: choose again now that it is known.
    if (to.redirectedFrom?.path === '/') return { path: '/', force: true }
  }
  if (to.meta.permission && !may(to.meta.permission)) return { name: 'forbidden' }
  return true
})

whenLoggedOut(() => {
  const here = router.currentRoute.value
  session.value = null
  queryClient.clear()
  if (!here.meta.public) void router.replace(toLogin(here, 'expired'))
})

/** Where to go after log-in: a page of this console, never another site. */
export function safeReturnTo(asked: unknown): string {
  return typeof asked === 'string' && /^\/(?![/\\])/.test(asked) ? asked : '/'
}
