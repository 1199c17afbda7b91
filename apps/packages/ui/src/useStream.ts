// A live stream for as long as a component lives.
import { EventStream, type Problem, type StreamEvent, type StreamState } from '@forecourt/api-client'
import { onScopeDispose, ref, watch, type Ref } from 'vue'
import { learnServerTime } from './useNow'

export interface StreamUse {
  /** Null: no stream for now. */
  url: () => string | null
  /** `data` is the event's JSON. */
  onEvent: (type: string, data: unknown) => void
  /** Connected, also anew: fetch again what has no ids. */
  onOpen?: () => void
  onRefused?: (problem: Problem) => void
}

export function useStream(use: StreamUse): Ref<StreamState> {
  const state = ref<StreamState>('connecting')
  let stream: EventStream | null = null

  function hear(event: StreamEvent): void {
    if (event.data !== '') use.onEvent(event.type, JSON.parse(event.data))
  }

  watch(
    use.url,
    (url) => {
      stream?.stop()
      stream = null
      state.value = 'connecting'
      if (url === null) return
      stream = new EventStream({
        url,
        onEvent: hear,
        onOpen: (serverDate) => {
          learnServerTime(serverDate)
          use.onOpen?.()
        },
        onState: (next) => {
          state.value = next
        },
        onRefused: use.onRefused,
      })
      stream.start()
    },
    { immediate: true },
  )
  onScopeDispose(() => stream?.stop())
  return state
}
