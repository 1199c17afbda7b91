// The time now, ticking, corrected by what the server says its clock shows.
import { onScopeDispose, ref, type Ref } from 'vue'

const TICK_MS = 250

/** How far this machine's clock is behind the server's; learned from the stream's Date header. */
let serverAheadMs = 0

export function learnServerTime(date: string | null): void {
  const told = Date.parse(date ?? '')
  // The header drops the part of a second: better a countdown that ends early than one that promises too much.
  if (!Number.isNaN(told)) serverAheadMs = told + 1_000 - Date.now()
}

export function serverNowMs(): number {
  return Date.now() + serverAheadMs
}

/** Milliseconds since the epoch by the server's clock, four times a second while the component lives. */
export function useNow(): Ref<number> {
  const now = ref(serverNowMs())
  const timer = setInterval(() => {
    now.value = serverNowMs()
  }, TICK_MS)
  onScopeDispose(() => clearInterval(timer))
  return now
}
