/** Times and figures as operators read them. */

const pad = (value: number): string => String(value).padStart(2, '0')

/** RFC 3339 as local `2026-03-01 08:00:00`, "" for nothing. */
export function timeOf(text: string | null | undefined): string {
  const at = new Date(text ?? '')
  if (Number.isNaN(at.getTime())) return ''
  const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`
  return `${day} ${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`
}

export function bitrateOf(kbps: number): string {
  return kbps >= 1000 ? `${(kbps / 1000).toFixed(2)} Mbit/s` : `${Math.round(kbps)} kbit/s`
}

/** Lost packets among those sent, as `0.02 %`. */
export function lossOf(lost: number, packets: number): string {
  const sent = lost + packets
  if (lost === 0 || sent === 0) return '0 %'
  const percent = (lost / sent) * 100
  return percent < 0.01 ? '< 0.01 %' : `${percent.toFixed(2)} %`
}
