// A preference kept in this browser; a browser that refuses storage just forgets it.

export function recall(key: string): string | null {
  try {
    return localStorage.getItem(`forecourt.${key}`)
  } catch {
    return null
  }
}

export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(`forecourt.${key}`, value)
  } catch {
    // Private windows and full disks: the preference lasts as long as the page.
  }
}
