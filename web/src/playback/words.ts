/** Durations and causes of gaps in the operator's language. */
import { useI18n } from 'vue-i18n'
import { durationParts } from './timeline.ts'

export function useWords(): { duration: (ms: number) => string; cause: (code: string) => string } {
  const { t, te } = useI18n()
  return {
    duration: (ms) => durationParts(ms).map(({ unit, count }) => t(`unit.${unit}`, { count })).join(' '),
    // A cause that this console does not know yet is better shown in the server's word than not at all.
    cause: (code) => (te(`cause.${code}`) ? t(`cause.${code}`) : code || t('cause.unknown')),
  }
}
