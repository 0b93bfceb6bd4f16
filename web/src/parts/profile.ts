/** Fields of a device's profile, as the API's `PATCH /devices/{id}` takes them. */

export interface ProfileField {
  key: string
  kind: 'choice' | 'switch' | 'number' | 'text'
  choices?: string[]
  min?: number
  max?: number
}

const choice = (key: string, ...choices: string[]): ProfileField => ({ key, kind: 'choice', choices })
const toggle = (key: string): ProfileField => ({ key, kind: 'switch', choices: ['true', 'false'] })
const number = (key: string, min: number, max: number): ProfileField => ({ key, kind: 'number', min, max })

/** What belongs together, under one heading. */
export const PROFILE_GROUPS: { name: string; fields: ProfileField[] }[] = [
  {
    name: 'protocol',
    fields: [
      { key: 'vendor', kind: 'text' },
      choice('edition', '2011', '2014', '2016', '2022'),
      choice('charset', 'gb2312', 'gb18030', 'utf-8'),
      choice('digest', 'MD5', 'SHA-256'),
      toggle('date_header'),
    ],
  },
  {
    name: 'presence',
    fields: [
      number('keepalive_interval_s', 0, 3600),
      number('keepalive_misses', 1, 100),
      choice('keepalive_policy', 'revive', 'strict'),
      number('keep_open_s', 0, 600),
      toggle('ignore_notified_status'),
    ],
  },
  { name: 'catalog', fields: [number('catalog_first_wait_s', 1, 3600), number('catalog_gap_s', 1, 3600)] },
  {
    name: 'commands',
    fields: [
      choice('media_transport', 'auto', 'udp', 'tcp'),
      choice('ptz_target', 'device', 'channel'),
      number('ptz_address', 0, 4095),
      choice('config_target', 'device', 'channel'),
      choice('set_guard', 'never', 'camera', 'always'),
      choice('coordinate_system', 'wgs84', 'gcj02', 'bd09'),
    ],
  },
]

export const PROFILE_FIELDS: ProfileField[] = PROFILE_GROUPS.flatMap((group) => group.fields)
