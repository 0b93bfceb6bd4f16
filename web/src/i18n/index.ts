/** Chinese and English. The texts lie in `zh.json` and `en.json`; a test holds their keys together. */
import { createI18n } from 'vue-i18n'
import en from './en.json'
import { languageOf, spoken, type Language } from './language.ts'
import zh from './zh.json'

const KEY = 'gb28181.language'

export const i18n = createI18n<[typeof zh], Language, false>({
  legacy: false,
  locale: languageOf(localStorage.getItem(KEY), navigator.languages),
  fallbackLocale: 'zh',
  messages: { zh, en },
})

export function setLanguage(language: Language): void {
  localStorage.setItem(KEY, language)
  i18n.global.locale.value = language
  apply()
}

export function apply(): void {
  document.documentElement.lang = i18n.global.locale.value === 'zh' ? 'zh-CN' : 'en'
  document.title = i18n.global.t('app.title')
  spoken.value = i18n.global.locale.value
}
