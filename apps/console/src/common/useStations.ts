// The stations this person sees; their names and zones are needed on every page.
import type { Station } from '@forecourt/api-client'
import { useQuery } from '@tanstack/vue-query'
import { computed } from 'vue'
import { api } from '../server'

const TIMEZONE_UNKNOWN = 'Asia/Shanghai'
const STALE_AFTER_MS = 60_000

export function useStations() {
  const query = useQuery({
    queryKey: ['stations'],
    queryFn: () => api.stations.list(),
    staleTime: STALE_AFTER_MS,
  })
  const stations = computed<Station[]>(() => query.data.value?.items ?? [])

  /** Of this station; without one, of the first that this person sees. */
  function timezoneOf(stationId: string): string {
    const found = stations.value.find((station) => station.id === stationId) ?? stations.value[0]
    return found?.timezone ?? TIMEZONE_UNKNOWN
  }

  return { query, stations, timezoneOf }
}
