import { onScopeDispose } from 'vue'

/** Call `act` at most once per `everyMs`, and once more after the last wish. */
export function useThrottled(act: () => void, everyMs: number): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  onScopeDispose(() => clearTimeout(timer))
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined
      act()
    }, everyMs)
  }
}
