import { ref } from 'vue'

export type Language = 'zh' | 'en'

/** What the server is asked to speak; who shows sentences of the server asks anew when it changes. */
export const spoken = ref<Language>('zh')

/** Chosen before, else the browser's, else Chinese. */
export function languageOf(stored: string | null, browser: readonly string[]): Language {
  if (stored === 'zh' || stored === 'en') return stored
  const known = browser.map((tag) => tag.toLowerCase().split('-')[0]).find((tag) => tag === 'zh' || tag === 'en')
  return known === 'en' ? 'en' : 'zh'
}
