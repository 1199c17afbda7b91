// Light or dark: the system's wish until a person chooses.
import { ref, watchEffect, type Ref } from 'vue'
import { recall, remember } from './remember'

export type Theme = 'light' | 'dark'

function firstTheme(): Theme {
  const kept = recall('theme')
  if (kept === 'light' || kept === 'dark') return kept
  return globalThis.matchMedia?.('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'
}

const theme = ref<Theme>(firstTheme())

watchEffect(() => {
  document.documentElement.classList.toggle('dark', theme.value === 'dark')
})

export function useTheme(): { theme: Ref<Theme>; toggle: () => void } {
  const toggle = (): void => {
    theme.value = theme.value === 'dark' ? 'light' : 'dark'
    remember('theme', theme.value)
  }
  return { theme, toggle }
}
