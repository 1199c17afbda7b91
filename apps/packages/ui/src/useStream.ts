// A live stream for as long as a component lives.
import { EventStream, type Problem, type StreamEvent, type StreamState } from '@forecourt/api-client'
import { onScopeDispose, ref, watch, type Ref } from 'vue'
import { learnServerTime } from './useNow'

export interface StreamUse {
  /** Null: no stream for now. */
  url: () => string | null
  /** `data` is the event's JSON. `hello` comes first on every connection: fetch anew what has no ids. */
  onEvent: (type: string, data: unknown) => void
  onRefused?: (problem: Problem) => void
}

export function useStream(use: StreamUse): Ref<StreamState> {
  const state = ref<StreamState>('connecting')
  let stream: EventStream | null = null

  function hear(event: StreamEvent): void {
    const data: unknown = event.data === '' ? null : JSON.parse(event.data)
    if (event.type === 'hello' || event.type === 'heartbeat') learnServerTime((data as { at?: unknown } | null)?.at)
    use.onEvent(event.type, data)
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
