// How answers are kept and asked again.
import { asProblem } from '@forecourt/api-client'
import { QueryClient } from '@tanstack/vue-query'

const TRIES_MAX = 2

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      retry: (failures, thrown) => asProblem(thrown).isPassing && failures < TRIES_MAX,
    },
  },
})
