// The nozzles of one station: asked once, then kept up to date by the stream.
import type { LiveNozzle, Nozzle } from '@forecourt/api-client'
import { useStream, withLive } from '@forecourt/ui'
import { useQuery, useQueryClient } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { useThrottled } from '../../common/useThrottled'
import { api } from '../../server'

const REFRESH_EVERY_MS = 1_000

type NozzlePage = { items: Nozzle[] }

export function useNozzles(stationId: Ref<string | null>) {
  const client = useQueryClient()
  const queryKey = computed(() => ['nozzles', stationId.value])
  const query = useQuery({
    queryKey,
    queryFn: () => api.stations.nozzles(stationId.value ?? ''),
    enabled: computed(() => stationId.value !== null),
  })
  const refresh = useThrottled(() => void client.invalidateQueries({ queryKey: queryKey.value }), REFRESH_EVERY_MS)

  function merge(live: LiveNozzle): void {
    client.setQueryData<NozzlePage>(queryKey.value, (page) =>
      page === undefined
        ? page
        : { items: page.items.map((nozzle) => (nozzle.id === live.id ? withLive(nozzle, live) : nozzle)) },
    )
  }

  const state = useStream({
    url: () => (stationId.value === null ? null : `/api/v1/stream?station_id=${encodeURIComponent(stationId.value)}`),
    onEvent: (type, data) => {
      if (type === 'nozzle') merge(data as LiveNozzle)
      // What is unpaid at a nozzle follows from its sales.
      else if (type === 'sale' || type === 'lost') refresh()
    },
    onOpen: refresh,
  })

  const nozzles = computed<Nozzle[]>(() => query.data.value?.items ?? [])
  return { query, nozzles, state }
}
