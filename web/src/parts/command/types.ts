/** What the API answers about commands to devices. */

export interface DeviceInfo {
  asked_at: string
  name: string | null
  manufacturer: string | null
  model: string | null
  firmware: string | null
  channels: number | null
}

export interface DeviceStatus {
  asked_at: string
  online: boolean
  well: boolean
  reason: string | null
  encode: boolean | null
  record: boolean | null
  device_time: string | null
  time_offset_s: number | null
  guards: { device_id: string; duty_status: string }[]
}

export type Value = string | number | Value[] | { [name: string]: Value }
export type Block = Record<string, Value>

export interface ConfigAnswer {
  asked_at: string
  config: Record<string, Value>
  missing: string[]
  target: string
  known: string[]
}

export interface Order {
  order_id: string
  kind: 'reboot' | 'format' | 'upgrade' | 'snapshot'
  device_id: string
  channel_id: string | null
  user: string
  state: string
  open: boolean
  progress: number | null
  ordered_at: string
  ended_at: string | null
  message: string
}

export interface Picture {
  name: string
  bytes: number
  at: string
  url: string
}

export interface SnapshotOrder extends Order {
  pictures: Picture[]
}

export interface Card {
  number: number
  name: string | null
  status: string | null
  format_progress: number | null
  capacity_mb: number | null
  free_mb: number | null
}

export interface Firmware {
  firmware_id: string
  name: string
  version: string
  manufacturer: string
  stored: boolean
  bytes: number
  upload_url: string | null
}

/** A device, or one of its channels; `path` is what its commands begin with. */
export interface Target {
  path: string
  isChannel: boolean
}
