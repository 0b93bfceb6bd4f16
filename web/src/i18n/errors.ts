/** What went wrong and what to do about it, in the operator's language; the server's own words follow. */
import { ApiError } from '../api/client.ts'
import { i18n } from './index.ts'

/** Codes after which the server's words say nothing more. */
const SAYS_ALL = new Set(['network', 'http', 'forbidden', 'too_many_requests'])

export function errorText(error: unknown): string {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error)
  const { t, te } = i18n.global
  const key = `error.${error.code}`
  if (!te(key)) return error.message
  return SAYS_ALL.has(error.code) || !error.message ? t(key) : t('error.with_detail', { what: t(key), detail: error.message })
}
