/** Forms of the configurations: which fields each has, and how a recording plan is typed. */
import type { Block, Value } from './types.ts'

export interface Field {
  name: string
  kind: 'text' | 'number' | 'flag' | 'choice'
  min?: number
  max?: number
  /** Of a choice: its values; the texts are `command.choice.<field>_<value>`. */
  values?: (string | number)[]
}

export interface List {
  name: string
  most: number
  fields: Field[]
}

/** `plain`: one value instead of fields. `rows`: the whole is a list. `plan`: a week. */
export interface Form {
  fields: Field[]
  list?: List
  shape?: 'plain' | 'rows' | 'plan'
}

const number = (name: string, min = 0, max = 65535): Field => ({ name, kind: 'number', min, max })
const flag = (name: string): Field => ({ name, kind: 'flag' })
const text = (name: string, max = 255): Field => ({ name, kind: 'text', max })
const choice = (name: string, values: (string | number)[]): Field => ({ name, kind: 'choice', values })

/** What has a form; the rest is shown and edited as JSON. */
export const FORMS: Record<string, Form> = {
  basic_param: {
    fields: [text('name'), number('expiration', 60, 2592000), number('heart_beat_interval', 1, 86400), number('heart_beat_count', 1, 255)],
  },
  osd_config: {
    fields: [
      number('length', 1), number('width', 1), flag('time_enable'), choice('time_type', [0, 1]), number('time_x'), number('time_y'), flag('text_enable'),
    ],
    list: { name: 'items', most: 8, fields: [text('text', 32), number('x'), number('y')] },
  },
  video_param_attribute: {
    shape: 'rows',
    fields: [],
    list: {
      name: '',
      most: 32,
      fields: [
        number('stream_number', 0, 31), choice('video_format', ['1', '2', '3', '4', '5']), text('resolution', 16), text('frame_rate', 16),
        choice('bit_rate_type', ['1', '2']), text('video_bit_rate', 16),
      ],
    },
  },
  picture_mask: {
    fields: [flag('on')],
    list: { name: 'region_list', most: 4, fields: [number('seq', 1, 4), text('point', 23)] },
  },
  frame_mirror: { shape: 'plain', fields: [choice('frame_mirror', [0, 1, 2, 3])] },
  video_record_plan: { shape: 'plan', fields: [flag('record_enable'), number('stream_number', 0, 31)] },
  video_alarm_record: { fields: [flag('record_enable'), number('record_time', 0, 86400), number('pre_record_time', 0, 3600), number('stream_number', 0, 31)] },
  alarm_report: { fields: [flag('motion_detection'), flag('field_detection')] },
}

/** What can only be read: pictures are ordered elsewhere, and nothing writes what an encoder can do. */
export const READ_ONLY = new Set(['video_param_opt', 'snap_shot_config'])

/** Numbers of elements: the platform counts them itself. */
const COUNTED = new Set(['sum_num', 'record_schedule_sum_num', 'time_segment_sum_num', 'roi_number'])

/** What a device told, as it is given back to it. */
export function writable(value: Value): Value {
  if (Array.isArray(value)) return value.map(writable)
  if (typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).filter(([name]) => !COUNTED.has(name)).map(([name, part]) => [name, writable(part)]))
}

/** A row of a list that has nothing in it yet. */
export function emptyRow(list: List, index: number): Block {
  const row: Block = {}
  for (const field of list.fields) {
    row[field.name] = field.kind === 'choice' ? (field.values?.[0] ?? '') : field.kind === 'text' ? '' : (field.min ?? 0)
    if (field.name === 'seq' || field.name === 'stream_number') row[field.name] = (field.min ?? 0) + index
  }
  return row
}

/** Without what was left empty: a device keeps what it is not told. */
export function withoutEmpty(block: Block): Block {
  return Object.fromEntries(Object.entries(block).filter(([, value]) => value !== ''))
}

const two = (value: Value | undefined): string => String(value ?? 0).padStart(2, '0')

/** `08:00:00-18:00:00, 20:00:00-21:30:00` of each weekday, Monday first; '' is a day without plan. */
export function planText(block: Block): string[] {
  const days = Array.from({ length: 7 }, () => '')
  for (const day of (block['record_schedules'] ?? []) as Block[]) {
    const parts = ((day['time_segments'] ?? []) as Block[]).map(
      (part) =>
        `${two(part['start_hour'])}:${two(part['start_min'])}:${two(part['start_sec'])}-${two(part['stop_hour'])}:${two(part['stop_min'])}:${two(part['stop_sec'])}`,
    )
    const index = Number(day['week_day_num']) - 1
    if (index >= 0 && index < 7) days[index] = parts.join(', ')
  }
  return days
}

const SEGMENT = /^(\d{1,2}):(\d{2})(?::(\d{2}))?\s*-\s*(\d{1,2}):(\d{2})(?::(\d{2}))?$/

/** The plan that was typed, or the number of the first day that cannot be read. */
export function planOf(days: string[]): Block[] | number {
  const schedules: Block[] = []
  for (const [index, typed] of days.entries()) {
    const segments: Block[] = []
    for (const part of typed.split(/[,;，；]/).map((piece) => piece.trim()).filter(Boolean)) {
      const found = SEGMENT.exec(part)
      if (!found) return index
      const [, startHour, startMin, startSec, stopHour, stopMin, stopSec] = found
      segments.push({
        start_hour: Number(startHour), start_min: Number(startMin), start_sec: Number(startSec ?? 0),
        stop_hour: Number(stopHour), stop_min: Number(stopMin), stop_sec: Number(stopSec ?? 0),
      })
    }
    if (segments.length > 0) schedules.push({ week_day_num: index + 1, time_segments: segments })
  }
  return schedules
}
