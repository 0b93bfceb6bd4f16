/** An alarm in words: what, where, how grave. */
import { useI18n } from 'vue-i18n'
import type { Alarm } from '../api/events_of_devices.ts'
import type { Words } from '../api/types.ts'

/** A recording begins so long before what it is looked at for. */
const BEFORE_MS = 10_000

export function useAlarmWords(): { wordsOf: (words: Words) => string; kindOf: (alarm: Alarm) => string } {
  const { locale } = useI18n()
  const wordsOf = (words: Words): string => (locale.value === 'zh' ? words.zh : words.en)
  return {
    wordsOf,
    kindOf: (alarm) =>
      [alarm.type ? wordsOf(alarm.type_words) : wordsOf(alarm.method_words), alarm.event_words ? wordsOf(alarm.event_words) : '']
        .filter(Boolean)
        .join(' · '),
  }
}

/** What the device says beyond the kind, which some repeat. */
export const toldOf = (alarm: Alarm): string =>
  [alarm.type_words, alarm.method_words].some((words) => alarm.description === words.zh || alarm.description === words.en) ? '' : alarm.description

export const placeOf = (alarm: Alarm): string => alarm.channel_name || alarm.device_name || alarm.source_id
export const gravity = (priority: number): string => (priority === 1 ? 'is-bad' : priority === 2 ? 'is-fair' : 'is-off')
/** Moment at which the recording of an alarm is begun to be looked at. */
export const before = (at: string): string => new Date(new Date(at).getTime() - BEFORE_MS).toISOString()
