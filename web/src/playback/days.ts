/** Days and hours as this browser's clock has them; the server is told the offset at which a day begins. */

export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS

const pad = (value: number): string => String(value).padStart(2, '0')

/** `2026-11-22` of a moment. */
export function dateOf(at: number): string {
  const day = new Date(at)
  return `${day.getFullYear()}-${pad(day.getMonth() + 1)}-${pad(day.getDate())}`
}

/** `15:04:05`. */
export function timeOfDay(at: number): string {
  const day = new Date(at)
  return `${pad(day.getHours())}:${pad(day.getMinutes())}:${pad(day.getSeconds())}`
}

/** `2026-11-22T15:04:05` in local time, as an input of type datetime-local has it. */
export const localText = (at: number): string => `${dateOf(at)}T${timeOfDay(at)}`

/** Midnight of a date, NaN for what is none. */
export const startOfDay = (date: string): number => new Date(`${date}T00:00:00`).getTime()

/** Midnight of the day after; a day may have 23 or 25 hours. */
export function endOfDay(date: string): number {
  const day = new Date(`${date}T00:00:00`)
  day.setDate(day.getDate() + 1)
  return day.getTime()
}

/** `+08:00`: the offset of this browser in the middle of a month. */
export function zoneOf(month: string): string {
  const minutes = -new Date(`${month}-15T12:00:00`).getTimezoneOffset()
  const size = Math.abs(minutes)
  return `${minutes < 0 ? '-' : '+'}${pad(Math.floor(size / 60))}:${pad(size % 60)}`
}

export function monthAfter(month: string, steps: number): string {
  const first = new Date(`${month}-15T12:00:00`)
  first.setMonth(first.getMonth() + steps)
  return dateOf(first.getTime()).slice(0, 7)
}

/** The weeks of a month from Monday on; "" where a day belongs to another month. */
export function weeksOf(month: string): string[][] {
  const first = new Date(`${month}-01T12:00:00`)
  const days = new Date(first.getFullYear(), first.getMonth() + 1, 0).getDate()
  const cells = [
    ...Array.from({ length: (first.getDay() + 6) % 7 }, () => ''),
    ...Array.from({ length: days }, (_, index) => `${month}-${pad(index + 1)}`),
  ]
  return Array.from({ length: Math.ceil(cells.length / 7) }, (_, week) =>
    Array.from({ length: 7 }, (_, day) => cells[week * 7 + day] ?? ''),
  )
}
