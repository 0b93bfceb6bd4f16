/** What went wrong and what to do about it, in the operator's language: the server's sentence, or ours and its words after it. */
import { ApiError } from '../api/client.ts'
import { i18n } from './index.ts'

/** Codes for which a sentence of the console says more than the server's. */
const SAYS_ALL = new Set(['network', 'http', 'forbidden', 'too_many_requests'])

export function errorText(error: unknown): string {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error)
  const { t, te, locale } = i18n.global
  const key = `error.${error.code}`
  if (!te(key)) return error.message
  if (!SAYS_ALL.has(error.code) && error.message && error.language === locale.value) return error.message
  return SAYS_ALL.has(error.code) || !error.message ? t(key) : t('error.with_detail', { what: t(key), detail: error.message })
}
