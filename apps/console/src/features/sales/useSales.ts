// One page of sales, kept up to date without moving rows under a pointer.
import type { Sale, SalePage } from '@forecourt/api-client'
import { useStream } from '@forecourt/ui'
import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/vue-query'
import { computed, ref, shallowRef, watch, type Ref } from 'vue'
import { useThrottled } from '../../common/useThrottled'
import { api } from '../../server'
import { requestOf, type Filters } from './filters'

const REFRESH_EVERY_MS = 1_000

export function useSales(filters: Ref<Filters>, timezone: Ref<string>, pointerInside: Ref<boolean>) {
  const client = useQueryClient()
  const queryKey = computed(() => ['sales', requestOf(filters.value, timezone.value)])
  const query = useQuery({
    queryKey,
    queryFn: () => api.sales.list(requestOf(filters.value, timezone.value)),
    placeholderData: keepPreviousData,
  })
  const sales = computed<Sale[]>(() => query.data.value?.items ?? [])
  const changed = shallowRef<ReadonlySet<string>>(new Set())
  /** Sales that came while the pointer was over the table, so they are not shown yet. */
  const waiting = ref(new Set<string>())

  function show(): void {
    waiting.value = new Set()
    void client.invalidateQueries({ queryKey: ['sales'] })
  }
  const refresh = useThrottled(() => {
    if (!pointerInside.value || sales.value.length === 0) show()
  }, REFRESH_EVERY_MS)

  function hear(sale: Sale): void {
    changed.value = new Set([...changed.value, sale.id])
    if (sales.value.some((shown) => shown.id === sale.id)) {
      client.setQueryData<SalePage>(queryKey.value, (page) =>
        page === undefined
          ? page
          : { ...page, items: page.items.map((shown) => (shown.id === sale.id ? sale : shown)) },
      )
    } else {
      waiting.value = new Set([...waiting.value, sale.id])
    }
    refresh()
  }

  const state = useStream({
    url: () =>
      filters.value.station ? `/api/v1/stream?station_id=${encodeURIComponent(filters.value.station)}` : '/api/v1/stream',
    onEvent: (type, data) => {
      if (type === 'sale') hear(data as Sale)
      else if (type === 'lost') refresh()
    },
    onOpen: refresh,
  })

  watch(queryKey, () => {
    waiting.value = new Set()
    changed.value = new Set()
  })
  watch(pointerInside, (inside) => {
    if (!inside && waiting.value.size > 0) show()
  })

  return { query, sales, changed, waiting, state, show }
}
