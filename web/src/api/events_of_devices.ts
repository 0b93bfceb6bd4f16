/** What the API answers about alarms, positions and subscriptions. */
import type { Words } from './types.ts'

export interface Alarm {
  alarm_id: number
  device_id: string
  device_name: string
  channel_id: string
  channel_name: string
  source_id: string
  at: string
  received_at: string
  told_time: string | null
  priority: number
  method: number
  method_words: Words
  type: number
  type_words: Words
  event_type: number
  event_words: Words | null
  description: string
  latching: boolean
  acknowledged_by: string
  acknowledged_at: string | null
  note: string
}

/** What nobody has acknowledged, counted up to a hundred. */
export interface OpenAlarms {
  count: number
  more: boolean
}

export interface Acknowledged {
  acknowledged: number
  more: boolean
}

export interface AlarmWords {
  methods: { method: number; words: Words }[]
}

export interface Position {
  device_id: string
  channel_id: string
  name: string
  at: string
  longitude: number
  latitude: number
  told_longitude: number
  told_latitude: number
  system: string
  speed_kmh: number | null
  direction_deg: number | null
  altitude_m: number | null
  via: string
}

export type Topic = 'catalog' | 'alarm' | 'mobile_position' | 'ptz_position'

export interface Subscription {
  topic: Topic
  channel_id: string
  enabled: boolean
  expires_s: number
  interval_s: number | null
  own: { enabled: boolean | null; expires_s: number | null; interval_s: number | null }
  state: 'off' | 'waiting' | 'active' | 'refused' | 'failing'
  status: number
  reason: string
  expires_at: string | null
  next_at: string | null
  notified: number
  notified_at: string | null
}
