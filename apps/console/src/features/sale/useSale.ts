// One sale with all that happened to it, live.
import type { Sale, Timeline } from '@forecourt/api-client'
import { useStream } from '@forecourt/ui'
import { useQuery, useQueryClient } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { useThrottled } from '../../common/useThrottled'
import { api } from '../../server'

const REFRESH_EVERY_MS = 500

export function useSale(saleId: Ref<string>) {
  const client = useQueryClient()
  const queryKey = computed(() => ['sale', saleId.value])
  const query = useQuery({ queryKey, queryFn: () => api.sales.timeline(saleId.value) })
  const timeline = computed<Timeline | null>(() => query.data.value ?? null)
  const stationId = computed(() => timeline.value?.sale.station_id ?? null)
  const refresh = useThrottled(() => void client.invalidateQueries({ queryKey: queryKey.value }), REFRESH_EVERY_MS)

  const state = useStream({
    url: () => (stationId.value === null ? null : `/api/v1/stream?station_id=${encodeURIComponent(stationId.value)}`),
    onEvent: (type, data) => {
      if (type === 'sale' && (data as Sale).id === saleId.value) refresh()
      else if (type === 'payment' && (data as { sale_ids?: string[] }).sale_ids?.includes(saleId.value)) refresh()
      else if (type === 'lost') refresh()
    },
    onOpen: refresh,
  })

  return { query, timeline, state, refresh }
}
