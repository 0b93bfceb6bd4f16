/** Times and figures as operators read them. */

const pad = (value: number): string => String(value).padStart(2, '0')

/** RFC 3339 as local `2026-03-01 08:00:00`, "" for nothing. */
export function timeOf(text: string | null | undefined): string {
  const at = new Date(text ?? '')
  if (Number.isNaN(at.getTime())) return ''
  const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`
  return `${day} ${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`
}

const MOMENT = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g

/** A sentence of the server with its moments, RFC 3339 in UTC, as local times. */
export const withLocalTimes = (text: string): string => text.replace(MOMENT, timeOf)

/** The zone that times are shown in, that of the browser, as `UTC+8`, `UTC-3:30` or `UTC`. */
export function zoneOf(minutesWest: number = new Date().getTimezoneOffset()): string {
  if (minutesWest === 0) return 'UTC'
  const minutes = Math.abs(minutesWest)
  const part = minutes % 60 ? `:${pad(minutes % 60)}` : ''
  return `UTC${minutesWest < 0 ? '+' : '-'}${Math.floor(minutes / 60)}${part}`
}

/** As `timeOf`, without the date for what is of today. */
export function timeShort(text: string | null | undefined): string {
  const whole = timeOf(text)
  return whole.slice(0, 10) === timeOf(new Date().toISOString()).slice(0, 10) ? whole.slice(11) : whole
}

export function bitrateOf(kbps: number): string {
  return kbps >= 1000 ? `${(kbps / 1000).toFixed(2)} Mbit/s` : `${Math.round(kbps)} kbit/s`
}

/** What a stream is, as far as known: `1920×1080 · 25 fps · PS · UDP`. */
export function figuresOf(stream: { width: number | null; height: number | null; fps: number | null; format: string; transport: string }): string {
  const size = stream.width && stream.height ? `${stream.width}×${stream.height}` : ''
  const rate = stream.fps ? `${Math.round(stream.fps * 10) / 10} fps` : ''
  return [size, rate, stream.format.toUpperCase(), stream.transport.toUpperCase()].filter(Boolean).join(' · ')
}

/** Lost packets among those sent, as `0.02 %`. */
export function lossOf(lost: number, packets: number): string {
  const sent = lost + packets
  if (lost === 0 || sent === 0) return '0 %'
  const percent = (lost / sent) * 100
  return percent < 0.01 ? '< 0.01 %' : `${percent.toFixed(2)} %`
}

/** Bytes in the decimal units that disks are sold in: `1.82 TB`. */
export function bytesOf(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toPrecision(3)} ${units[unit]}`
}

/** A share 0 to 1 as `99.5 %`; what is not whole is never shown as 100 %. */
export function percentOf(share: number): string {
  if (share >= 1) return '100 %'
  const percent = Math.floor(share * 1000) / 10
  return percent === 0 && share > 0 ? '< 0.1 %' : `${percent.toFixed(percent >= 10 ? 1 : 2)} %`
}
