/** What the API answers (docs page at /api/docs). Times are RFC 3339 UTC. */

export interface Page<T> {
  items: T[]
  next: string | null
}

export interface Device {
  device_id: string
  name: string
  online: boolean
  manufacturer: string
  model: string
  firmware: string
  user_agent: string
  gb_version: string
  address: string | null
  transport: string | null
  registered_at: string | null
  expires_at: string | null
  last_seen_at: string | null
  channels: number
  catalog: { at: string | null; announced: number; received: number }
  keepalive_interval_s: number | null
  clock: { offset_s: number | null; measured_at: string | null; warning: boolean }
  own_password: boolean
  networks: string[]
  redirect: string
  profile: Record<string, ProfileValue>
  overrides: Record<string, ProfileValue>
  faults: { fault: string; count: number; last_at: string | null; detail: string; words: Words }[]
  hints: { code: string; words: Words }[]
}

export type ProfileValue = string | number | boolean
/** One text in both languages of the console. */
export type Words = Record<'zh' | 'en', string>

/** Who wants to register and is no device. */
export interface Stranger {
  device_id: string
  source: string
  user_agent: string
  reason: 'unknown' | 'wrong-password' | 'no-password'
  count: number
  last_seen_at: string
}

export type RecordingState = 'recording' | 'starting' | 'failed' | 'off'

export interface Recording {
  mode: 'always' | 'off'
  state: RecordingState
  since: string | null
  message: string
}

/** Figures of a stream. `waiting`: no picture yet; `silent`: none for 5 s. */
export interface Stream {
  state: 'waiting' | 'running' | 'silent'
  transport: string
  source: string
  format: string
  bitrate_kbps: number
  packets: number
  lost: number
  gop_s: number
  /** Pictures a second, width and height are known only while somebody has looked into the stream. */
  fps: number | null
  width: number | null
  height: number | null
  key_frame_age_s: number | null
  note: string
}

export interface Channel {
  device_id: string
  channel_id: string
  name: string
  online: boolean
  manufacturer: string
  model: string
  parent_id: string
  playable: boolean
  /** 1 dome, 2 half dome, 3 fixed, 4 moved from afar; 0 unknown. */
  ptz_type: number
  recording: Recording
  stream: Stream | null
}

export interface TreeNode {
  id: string
  name: string
  kind: 'device' | 'civil' | 'system' | 'group' | 'organisation' | 'channel'
  parent: string
  has_children: boolean
  /** Empty for a division. */
  device_id: string
  channel_id: string | null
  online: boolean
  playable: boolean
  /** Cameras below the node. */
  channels: { total: number; online: number }
}

/** How far opening a stream has come; the same words as the server's. */
export const STAGES = [
  'reserved',
  'invited',
  'trying',
  'answered',
  'connected',
  'first_rtp',
  'first_ps',
  'first_key_frame',
] as const
export type Stage = (typeof STAGES)[number]

export interface LiveSession {
  session_id: string
  urls: { ws_flv: string }
  stages: { stage: Stage; at: string }[]
}

export type Role = 'admin' | 'operator' | 'viewer'

export interface Login {
  token: string
  expires_at: string
  username: string
  role: Role
}

/** How the server does, and what a camera must be told. */
export interface System {
  one_source: string | null
  version: string
  devices: { total: number; online: number }
  channels: { total: number; online: number }
  recording: { due: number; recording: number }
  volumes: { path: string; total_bytes: number; free_bytes: number; suspect: boolean; error: string }[]
  parts: { name: string; state: string; pid: number | null; detail: string }[]
  sip: { server_id: string; domain: string; host: string; port: number; transports: string[]; tls_port: number | null }
}

export interface Refusal {
  at: string | null
  device_id: string
  source: string
  reason: string
}

export interface Job {
  state: 'running' | 'done' | 'partial' | 'failed'
  announced: number
  received: number
  message: string
}

/** One day of a channel in the calendar. */
export interface CalendarDay {
  date: string
  recorded_s: number
  coverage: number
  bytes: number
}

/** What a range holds; `recorded` includes what is being written now. */
export interface Recordings {
  recorded: { start: string; end: string }[]
  gaps: { start: string; end: string | null; cause: string }[]
  coverage: number
}

export interface PlaybackSession {
  session_id: string
  urls: { hls: string; ws_flv?: string }
  start: string
  end: string
}

/** What an export would hold. `job_url` takes a POST where the file has to be made first; `url` gives it as it is made. */
export interface Export {
  url: string
  job_url: string | null
  bytes_estimate: number
  gaps: { start: string; end: string | null; cause: string }[]
}

export interface ExportJob {
  state: 'waiting' | 'running' | 'done' | 'failed'
  percent: number
  bytes: number
  error: { code: string; message: string } | null
  progress_url: string
  url: string | null
}

export interface Disk {
  path: string
  total_bytes: number
  free_bytes: number
  pending_bytes: number
  suspect: boolean
  error: string
  oldest_at: string | null
  kept_h: number
}

export interface Missing {
  device_id: string
  channel_id: string
  name: string
  online: boolean
  state: RecordingState
  cause: string
  message: string
  since: string | null
}

export interface Overview {
  time: string
  devices: { total: number; online: number }
  channels: { total: number; online: number }
  recording: { due: number; recording: number }
  sessions: number
  disks: Disk[]
  kept: { retention_hours: number; channels: number; shortest_h: number; longest_h: number }[]
  missing: Missing[]
  missing_total: number
  gaps: { cause: string; gaps: number; channels: number; lasting: number; seconds: number }[]
}

/** One SIP message of a device; `text` has its secrets masked. */
export interface TracedMessage {
  at: string
  direction: 'in' | 'out'
  transport: string
  remote: string
  status: number | null
  summary: string
  text: string
}

/** Who steers a camera; `held_by` is empty when nobody does. */
export interface PtzState {
  held_by: string
  priority: number
  until: string | null
  locked: boolean
  moving: boolean
  mine: boolean
  may_steer: boolean
  edition: string
}

export interface Preset {
  number: number
  name: string
}

export interface Cruise {
  number: number
  name: string
}

export interface CruiseTrack extends Cruise {
  points: { preset: number; stay_s: number | null; speed: number | null }[]
}

/** To which preset a camera returns by itself after so long a rest. */
export interface Home {
  enabled: boolean
  after_s: number | null
  preset: number | null
}

/** Where a camera looks: degrees, and a factor. */
export interface PtzPosition {
  pan: number | null
  tilt: number | null
  zoom: number | null
}

/** One recording that a device holds. */
export interface DeviceRecording {
  start: string
  end: string
  name: string
  type: string
  bytes: number | null
}

export interface DeviceRecordings {
  asked_at: string
  complete: boolean
  items: DeviceRecording[]
  recorded: { start: string; end: string }[]
  gaps: { start: string; end: string }[]
  days: { date: string; state: string; received: number; announced: number | null }[]
}

export interface User {
  username: string
  role: Role
  disabled: boolean
}

/** What a user did. */
export interface AuditEntry {
  id: number
  at: string
  user: string
  action: string
  target: string
  detail: Record<string, unknown>
}
